"""The gateway's side of one environment."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from infra.local.gateway import channel, runtime
from infra.local.gateway.configuration import Function
from infra.local.gateway.context import environment_variables
from infra.local.gateway.errors import FunctionFailedError
from infra.local.gateway.logs import forward
from infra.local.gateway.sources import Version

INIT_SECONDS = 10  # Lambda's limit for a first init; a second one may use the function's timeout
READ_BUFFER = 1 << 20

# Imported once, before processes are forked. Never the project's own code: that may change.
PRELOADED = ["fastapi", "mangum", "pydantic", "httpx", "postgrest", "storage3", "PIL.Image", "yaml"]

_processes = get_context("forkserver")
_starter = ThreadPoolExecutor(1, "environment-starter")  # starting blocks until the fork server has imported


@dataclass(frozen=True)
class Invocation:
    """One event, as JSON, and the ids under which it is logged and traced."""

    event: bytes
    request_id: str
    trace_id: str


class Environment:
    """A process that handles one event at a time for one version of one function."""

    def __init__(
        self,
        function: Function,
        version: Version,
        process: ForkServerProcess,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.function = function
        self.version = version
        self.process = process
        self._reader, self._writer = streams
        self._initialised = False

    @classmethod
    async def start(cls, function: Function, version: Version, root: Path) -> "Environment":
        """A new environment, which imports the handler while the first event is on its way."""
        ours, theirs = socket.socketpair()
        log_reader, log_writer = _processes.Pipe(duplex=False)
        variables = environment_variables(function, root)
        process = _processes.Process(
            target=runtime.run, args=(function, variables, theirs, log_writer, not version.is_fresh)
        )
        await asyncio.get_running_loop().run_in_executor(_starter, process.start)
        theirs.close()
        log_writer.close()
        await forward(function.name, log_reader)
        streams = await asyncio.open_connection(sock=ours, limit=READ_BUFFER)
        return cls(function, version, process, streams)

    @property
    def is_alive(self) -> bool:
        """Whether the process still listens."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def invoke(self, invocation: Invocation) -> bytes:
        """The handler's result, as JSON; `FunctionFailedError` where it raised, died or ran out of time."""
        if not self._initialised:
            await self._initialise()
        about = json.dumps({"requestId": invocation.request_id, "traceId": invocation.trace_id}).encode()
        self._writer.write(channel.pack(channel.CONTEXT, about))
        self._writer.write(channel.pack(channel.EVENT, invocation.event))
        return await self._answer(self.function.timeout)

    def kill(self) -> None:
        """End the process, and what it started, at once."""
        self._writer.close()
        if self.process.is_alive():
            self._kill_group()

    async def _initialise(self) -> None:
        try:
            await self._answer(INIT_SECONDS + self.function.timeout)
        except FunctionFailedError:
            self.kill()
            raise
        self._initialised = True

    async def _answer(self, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                kind, payload = await channel.read(self._reader)
        except TimeoutError:
            self.kill()
            raise FunctionFailedError(f"timed out after {seconds:.2f} seconds") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            self._writer.close()
            self._kill_group()
            raise FunctionFailedError("the process ended before it answered") from None
        except asyncio.CancelledError:
            self.kill()
            raise
        if kind == channel.FAILURE:
            raise FunctionFailedError(payload.decode())
        return payload

    def _kill_group(self) -> None:
        pid = self.process.pid
        assert pid is not None
        for kill in (os.killpg, os.kill):  # the second, because the process may not lead its group yet
            with contextlib.suppress(OSError):
                kill(pid, signal.SIGKILL)


def prepare() -> None:
    """Start the fork server, which imports what all functions use, before the first request needs it."""
    if sys.platform == "darwin":  # else the first look at the system's proxies after a fork aborts
        os.environ.setdefault("OBJC_DISABLE_INITIALIZE_FORK_SAFETY", "YES")
    _processes.set_forkserver_preload(PRELOADED)
    _starter.submit(_warm_up)


def _warm_up() -> None:
    process = _processes.Process()  # without a target it ends at once
    process.start()
    process.join()
