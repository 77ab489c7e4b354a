"""Runs `up` in a process of its own, and looks at what runs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from infra.local.state import TOP, running_info

Children = Mapping[str, Mapping[str, Any]]


def start_up(folder: Path, become: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Starts `up` in a process group of its own, as a shell does; `become` is a command that changes the user."""
    return subprocess.Popen(
        [*become, sys.executable, "-m", "infra.local", "up"],
        cwd=TOP,
        env={**os.environ, "STATE": str(folder), "PORT": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextmanager
def up(folder: Path, become: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """`up`, once it serves; killed at the end where it still runs."""
    with start_up(folder, become) as supervisor:
        try:
            until(lambda: supervisor.poll() is not None or running_info(folder) is not None)
            assert supervisor.poll() is None, errors_of(supervisor)
            yield supervisor
        finally:
            supervisor.kill()


def errors_of(supervisor: subprocess.Popen[str]) -> str:
    """What an ended `up` wrote to standard error."""
    assert supervisor.stderr
    return supervisor.stderr.read()


def info_of(folder: Path) -> dict[str, str]:
    """The addresses of the stack that runs on a folder."""
    info = running_info(folder)
    assert info is not None
    return info


def children_of(folder: Path) -> Children:
    """The recorded child processes of a stack, by name."""
    path = folder / "processes.json"
    children: Children = json.loads(path.read_text()) if path.exists() else {}
    return children


def alive(children: Children) -> list[str]:
    """The names of those that still run."""

    def runs(pid: int) -> bool:
        try:
            return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    return [name for name, entry in children.items() if runs(entry["pid"])]


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows that one committed statement gives."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Returns once this holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
