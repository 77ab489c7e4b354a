"""As many environments as there are concurrent invocations, kept for the next ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local.gateway.configuration import Function
from infra.local.gateway.environment import Environment, Invocation
from infra.local.gateway.errors import ThrottledError
from infra.local.gateway.sources import Sources


@dataclass(frozen=True)
class Limits:
    """How many environments there may be, and for how many seconds an invocation waits for one."""

    per_function: int = 10
    total: int = 24
    wait_seconds: float = 10


class Environments:
    """The environments of all functions below one task root."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self._root = root
        self._limits = limits
        self._sources = Sources(root)
        self._idle: list[Environment] = []  # the most recently used last
        self._busy: set[Environment] = set()
        self._running = 0
        self._total_slots = asyncio.Semaphore(limits.total)
        self._function_slots: dict[str, asyncio.Semaphore] = {}

    async def invoke(self, function: Function, invocation: Invocation) -> bytes:
        """The function's result as JSON, from an environment that does nothing else meanwhile.

        Raises `ThrottledError` where none became free in time, and `FunctionFailedError`.
        """
        async with self._slot(function):
            environment = self._take_idle(function) or await self._start(function)
            self._busy.add(environment)
            try:
                return await environment.invoke(invocation)
            finally:
                self._busy.discard(environment)
                if environment.is_alive:
                    self._idle.append(environment)

    async def close(self) -> None:
        """End every environment and wait until they are gone."""
        environments = [*self._idle, *self._busy]
        for environment in environments:
            environment.kill()
        for environment in environments:
            await asyncio.to_thread(environment.process.join, 5)

    @asynccontextmanager
    async def _slot(self, function: Function) -> AsyncIterator[None]:
        limit = self._limits.per_function
        function_slots = self._function_slots.setdefault(function.name, asyncio.Semaphore(limit))
        deadline = asyncio.get_running_loop().time() + self._limits.wait_seconds
        async with _acquired(function_slots, deadline), _acquired(self._total_slots, deadline):
            self._running += 1
            try:
                yield
            finally:
                self._running -= 1

    def _take_idle(self, function: Function) -> Environment | None:
        """A warm environment that runs the function as it now is; those that do not are ended."""
        version = self._sources.version(function.folders)
        mine = [environment for environment in self._idle if environment.function.name == function.name]
        current = [e for e in mine if e.is_alive and (e.function, e.version) == (function, version)]
        for environment in mine:
            if environment not in current:
                self._retire(environment)
        if not current:
            return None
        self._idle.remove(current[-1])
        return current[-1]

    async def _start(self, function: Function) -> Environment:
        if len(self._idle) + self._running > self._limits.total:
            self._retire(self._idle[0])
        return await Environment.start(function, self._sources.version(function.folders), self._root)

    def _retire(self, environment: Environment) -> None:
        self._idle.remove(environment)
        environment.kill()


@asynccontextmanager
async def _acquired(slots: asyncio.Semaphore, deadline: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(deadline):
            await slots.acquire()
    except TimeoutError:
        raise ThrottledError from None
    try:
        yield
    finally:
        slots.release()
