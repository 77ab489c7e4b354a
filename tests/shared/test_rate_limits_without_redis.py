"""rate_limits: Redis is no more than a faster way."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from shared import cache
from shared.settings import settings
from tests.people import User
from tests.running_redis import Redis

Database = psycopg.Connection[Any]


def test_where_redis_counts_the_database_does_not(
    alice: User, counted_in_redis: Redis, database: Database, limit: Callable[..., None]
) -> None:
    limit("user", "read", 2)
    assert alice.read("nothing").status == 404
    assert counted_in_redis.keys() == [f"{{videomaker}}:rate:user:{alice.subject}:read"]
    count = "select count(*) from private.rate_buckets where name like '%%' || %s || '%%'"
    assert database.execute(count, (alice.subject,)).fetchone() == (0,)


class SilentServer:
    """Takes connections and never answers; counts them."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked = 0
        self._taken: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()
        for one in self._taken:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                self._taken.append(self._socket.accept()[0])
            except OSError:
                return
            self.asked += 1


def test_a_redis_that_is_silent_is_left_alone_and_postgres_counts(
    alice: User, counted_in_redis: Redis, limit: Callable[..., None], function_environment: pytest.MonkeyPatch
) -> None:
    silent = SilentServer()
    function_environment.setenv("REDIS_URL", silent.url)
    settings.cache_clear()
    limit("user", "read", 3)
    try:
        assert [alice.read("nothing").status for _ in range(5)] == [404, 404, 404, 429, 429]
        assert silent.asked == 1
    finally:
        silent.close()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:9", "redis://nowhere.invalid", "unix:///nowhere"])
def test_a_redis_that_is_gone_changes_no_answer(
    alice: User,
    counted_in_redis: Redis,
    limit: Callable[..., None],
    function_environment: pytest.MonkeyPatch,
    url: str,
) -> None:
    function_environment.setenv("REDIS_URL", url)
    settings.cache_clear()
    limit("user", "read", 3)
    assert [alice.read("nothing").status for _ in range(5)] == [404, 404, 404, 429, 429]


def test_a_redis_that_freezes_and_thaws_is_used_again(
    alice: User, counted_in_redis: Redis, monkeypatch: pytest.MonkeyPatch, limit: Callable[..., None]
) -> None:
    limit("user", "read", 2)
    counted_in_redis.pause()
    try:
        assert alice.read("nothing").status == 404
        assert not cache.is_there()
    finally:
        counted_in_redis.resume()
    monkeypatch.setattr(cache, "_resting_until", float("-inf"))
    counted_in_redis.empty()
    assert alice.read("nothing").status == 404
    assert counted_in_redis.keys()
