"""Child processes that do not outlive this one."""

import contextlib
import ctypes
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from infra.local.state import StackError, read_json, write_json

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
LOG_LINES_SHOWN = 15


@dataclass(frozen=True)
class Account:
    """An existing user to run a program as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Program:
    """How to start a child, tell that it serves, and end it cleanly."""

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    ready: Callable[[], bool]
    folder: Path = Path("/")
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM


class Processes:
    """The running children of one stack, recorded in a file so that the next start can end what a crash left.

    Start children from a thread that lives as long as they shall: Linux ends them when the thread does.
    """

    def __init__(self, record: Path, logs: Path) -> None:
        self._record = record
        self._logs = logs
        self._running: dict[str, tuple[Program, subprocess.Popen[bytes]]] = {}

    def start(self, program: Program) -> None:
        """Starts a child; its output goes to `<logs>/<name>.log`, emptied before."""
        with (self._logs / f"{program.name}.log").open("wb") as log:
            child = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=program.folder,
                env=dict(program.environment),
                preexec_fn=_end_with_parent(program.stop_signal),  # noqa: PLW1509 - makes one system call
                start_new_session=True,  # a terminal's Ctrl-C reaches this process only
                **run_as(program.account),
            )
        self._running[program.name] = (program, child)
        self._write_record()

    def wait_ready(self, *names: str, seconds: float = 60) -> None:
        """Returns once all of these serve. Raises StackError with the end of the log of one that does not."""
        deadline = time.monotonic() + seconds
        waiting = set(names)
        while waiting:
            self.raise_for_dead(waiting)
            waiting = {name for name in waiting if not self._running[name][0].ready()}
            if waiting and time.monotonic() > deadline:
                name = min(waiting)
                raise StackError(f"{name} did not serve within {seconds:g} s.{self._end_of_log(name)}")
            time.sleep(0.02 if waiting else 0)

    def raise_for_dead(self, names: Iterable[str] | None = None) -> None:
        """Raises StackError with the end of the log of a child, of these or of all, that has ended by itself."""
        for name in self._running if names is None else names:
            status = self._running[name][1].poll()
            if status is not None:
                raise StackError(f"{name} ended with status {status}.{self._end_of_log(name)}")

    def stop(self, name: str, seconds: float = 10) -> None:
        """Ends a child cleanly, or after this time by force; does nothing when it does not run."""
        if name not in self._running:
            return
        program, child = self._running.pop(name)
        if child.poll() is None:
            _signal_group(child.pid, signal.SIGCONT)
            child.send_signal(program.stop_signal)
            try:
                child.wait(seconds)
            except subprocess.TimeoutExpired:
                _signal_group(child.pid, signal.SIGKILL)
                child.wait()
        self._write_record()

    def pid_of(self, name: str) -> int:
        """The process id of a running child."""
        return self._running[name][1].pid

    def pause(self, name: str) -> None:
        """Freezes a child and what it started, so that its callers wait."""
        _signal_group(self._running[name][1].pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Lets a paused child go on."""
        _signal_group(self._running[name][1].pid, signal.SIGCONT)

    def end_leftovers(self, seconds: float = 10) -> None:
        """Ends the recorded children of a run that could not end them itself."""
        if not self._record.exists():
            return
        entries = read_json(self._record).values()
        leftovers = [(process, entry) for entry in entries if (process := _recorded_process(entry))]
        for process, entry in leftovers:
            _signal_group(process.pid, signal.SIGCONT)
            _signal_group(process.pid, entry["stopSignal"])
        processes = [process for process, _ in leftovers]
        if not wait_gone(processes, seconds):
            for process in filter(is_alive, processes):
                _signal_group(process.pid, signal.SIGKILL)
            wait_gone(processes, seconds)
        self._record.unlink()

    def _write_record(self) -> None:
        entries = {}
        for name, (program, child) in self._running.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                started = psutil.Process(child.pid).create_time()
                entries[name] = {"pid": child.pid, "started": started, "stopSignal": int(program.stop_signal)}
        write_json(self._record, entries)

    def _end_of_log(self, name: str) -> str:
        path = self._logs / f"{name}.log"
        lines = path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return f" The end of {path}:\n" + "\n".join(f"  {line}" for line in lines)


def run_as(account: Account | None) -> dict[str, Any]:
    """The arguments that make `subprocess` change to this user, who keeps none of the caller's groups."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def answers(port: int, path: str) -> Callable[[], bool]:
    """A check whether 127.0.0.1 answers 200 to a GET of this path; it never goes through a proxy."""

    def check() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check


def _end_with_parent(signal_number: signal.Signals) -> Callable[[], None] | None:
    """What a child runs before its program, to be sent this signal when its parent is gone; Linux only."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal_number))
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel


def is_alive(process: psutil.Process) -> bool:
    """Whether this very process still runs; one that only waits for its parent to notice its end does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_gone(processes: Iterable[psutil.Process], seconds: float) -> bool:
    """Waits until none of these runs; answers whether that was in time."""
    deadline = time.monotonic() + seconds
    while processes := [process for process in processes if is_alive(process)]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _recorded_process(entry: Mapping[str, Any]) -> psutil.Process | None:
    """The recorded process if it still runs, and its number was not given to another one."""
    try:
        process = psutil.Process(entry["pid"])
        same = abs(process.create_time() - entry["started"]) < 1
    except psutil.NoSuchProcess:
        return None
    return process if same and is_alive(process) else None


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
