"""The state folder: everything of a local stack that outlives one run."""

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from infra.local.keys import Keys, write_private

TOP = Path(__file__).resolve().parents[2]
SERVICES = ("postgres", "postgrest", "postgrest_admin", "supabase", "aws", "gateway")
LOWEST_PORT, HIGHEST_PORT = 10_240, 32_767  # below the ports that systems hand to outgoing connections


class StackError(Exception):
    """A reason, told to the person at the terminal, why the stack cannot do what was asked."""


@dataclass(frozen=True)
class Secrets:
    """What only this stack's own processes know."""

    database_password: str
    guest_secret: str
    storage_webhook_secret: str

    @classmethod
    def generate(cls) -> Self:
        """New random secrets."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(32), secrets.token_urlsafe(32))


class State:
    """The files of one state folder; the folder is made if it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.path.mkdir(parents=True, exist_ok=True)
        # As root, PostgreSQL runs as another user, which has to pass through here to its data folder.
        self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        self.logs = self._folder("logs")
        self.function_log = self.logs / "functions.jsonl"
        self.objects = self._folder("objects")
        self.keys_file = self.path / "keys.json"
        self.stack_file = self.path / "stack.json"
        self.processes_file = self.path / "processes.json"

    def _folder(self, name: str) -> Path:
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def keys(self) -> Keys:
        """The signing keys and API keys, made at the first call."""
        return Keys.load_or_create(self.keys_file)

    def secrets(self) -> Secrets:
        """The passwords, each made at the first call that lacks it."""
        path = self.path / "secrets.json"
        stored: dict[str, str] = read_json(path) if path.exists() else {}
        complete = asdict(Secrets.generate()) | stored
        if complete != stored:
            write_json(path, complete)
        return Secrets(**complete)

    def ports(self, gateway: int) -> dict[str, int]:
        """A port for each service: the one of last time where it is still free. `gateway` 0 means any.

        Raises StackError when a wanted gateway port is taken.
        """
        path = self.path / "ports.json"
        remembered: Mapping[str, int] = read_json(path) if path.exists() else {}
        ports: dict[str, int] = {}
        for service in SERVICES:
            port = remembered.get(service, 0)
            while port in ports.values() or not is_free(port):
                port = LOWEST_PORT + secrets.randbelow(HIGHEST_PORT - LOWEST_PORT + 1)
            ports[service] = port
        write_json(path, ports)
        if gateway and not is_free(gateway):
            raise StackError(f"Port {gateway} is in use. Choose another one with PORT=<number>.")
        return {**ports, "gateway": gateway} if gateway else ports

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process. Raises StackError, naming the holder, when another one has it."""
        with os.fdopen(os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = file.read().strip() or "unknown"
                raise StackError(f"A stack already runs on {self.path} (process {holder}).") from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


def default_folder() -> Path:
    """The folder that the environment variable STATE names, else `.local` at the top of the tree."""
    return Path(os.environ.get("STATE") or TOP / ".local")


def running_info(folder: Path) -> dict[str, str] | None:
    """What `stack.json` in this folder says while a stack runs there, else None."""
    lock, stack_file = folder / "lock", folder / "stack.json"
    if not (lock.exists() and stack_file.exists()):
        return None
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            info: dict[str, str] = read_json(stack_file)
            return info
    return None


def read_json(path: Path) -> Any:
    """The value stored in a JSON file."""
    return json.loads(path.read_text())


def write_json(path: Path, value: object) -> None:
    """Replaces a JSON file at once, readable by its owner only."""
    write_private(path, json.dumps(value, indent=2) + "\n")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now; 0 is no port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return port != 0
