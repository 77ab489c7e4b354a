"""Fixtures: a real Redis, and functions that count in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as client

from infra.local import redis_server
from infra.local.processes import Processes
from infra.local.state import State
from shared import cache, rate_limits
from shared.settings import settings


class Redis:
    """A running server, which a test may freeze, or stop and start again."""

    def __init__(self, folder: Path) -> None:
        state = State(folder)
        self._processes = Processes(state.processes_file, state.logs)
        self._port = state.ports(0)["gateway"]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        self._processes.start(redis_server.program(self._port))
        self._processes.wait_ready("redis")

    def keys(self) -> list[str]:
        with client.Redis.from_url(self.url, decode_responses=True) as connection:
            return sorted(connection.keys())

    def values(self) -> bytes:
        """Return all that is kept, in one."""
        with client.Redis.from_url(self.url) as connection:
            return b"\n".join(filter(None, map(connection.get, connection.keys())))

    def empty(self) -> None:
        with client.Redis.from_url(self.url) as connection:
            connection.flushall()

    def pause(self) -> None:
        self._processes.pause("redis")

    def resume(self) -> None:
        self._processes.resume("redis")

    def stop(self) -> None:
        self._processes.stop("redis")


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One server for all tests of this process."""
    found = Redis(tmp_path_factory.mktemp("redis"))
    yield found
    found.stop()


@pytest.fixture
def counted_in_redis(
    redis: Redis, function_environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Redis]:
    """Give the functions this Redis, empty."""
    redis.empty()
    function_environment.setenv("REDIS_URL", redis.url)
    settings.cache_clear()
    monkeypatch.setattr(cache, "_resting_until", float("-inf"))
    monkeypatch.setattr(rate_limits, "_limits", rate_limits._Limits())
    yield redis
    settings.cache_clear()
