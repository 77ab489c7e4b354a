"""cache: an entry is made once, by one, and nobody hangs on a Redis that is not well."""

import threading
import time
import uuid
from collections.abc import Callable

import pytest

from shared import cache
from tests.client import in_parallel
from tests.running_redis import Redis

Make = Callable[[], tuple[str, bytes]]


@pytest.fixture
def key(counted_in_redis: Redis) -> str:
    """A key that nothing is kept under."""
    return cache.key("test", uuid.uuid4())


class Maker:
    """Makes an entry, after a while, and counts how often."""

    def __init__(self, key: str, entry: bytes = b"made", seconds: float = 0.0) -> None:
        self.times = 0
        self._key, self._entry, self._seconds = key, entry, seconds

    def __call__(self) -> tuple[str, bytes]:
        self.times += 1
        time.sleep(self._seconds)
        return self._key, self._entry


def failing() -> tuple[str, bytes]:
    raise RuntimeError("cannot be made")


def test_an_entry_is_made_once(key: str) -> None:
    make = Maker(key, b"\x00 any bytes \xff")
    assert [cache.read_through(key, make) for _ in range(3)] == [b"\x00 any bytes \xff"] * 3
    assert make.times == 1


def test_every_part_of_a_key_tells_entries_apart() -> None:
    keys = {
        cache.key("a", "b", 1),
        cache.key("b", "b", 1),
        cache.key("a", "b", 2),
        cache.key("a", "b1"),
        cache.key("a"),
    }
    assert len(keys) == 5
    assert cache.key("a", "b", 1) in keys


def test_of_many_who_miss_an_entry_at_once_one_makes_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_TIMEOUT_SECONDS", 10)  # twenty threads make one another wait
    monkeypatch.setattr(cache, "_PATIENCE_SECONDS", 10)
    cache._client.cache_clear()
    cache._registered.cache_clear()
    make = Maker(key, seconds=0.2)
    assert in_parallel(lambda _: cache.read_through(key, make), 20, at_once=20) == [b"made"] * 20
    assert make.times == 1
    cache._client.cache_clear()
    cache._registered.cache_clear()


def test_where_it_could_not_be_made_the_next_one_tries_at_once(key: str, counted_in_redis: Redis) -> None:
    with pytest.raises(RuntimeError):
        cache.read_through(key, failing)
    assert counted_in_redis.keys() == []
    assert cache.read_through(key, Maker(key)) == b"made"


def test_nobody_waits_for_good_for_one_who_died_making_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_PATIENCE_SECONDS", 0.05)
    assert cache._FIND.run([key, f"{key}:lock"], [60_000]) == 1  # and is never heard of again
    make = Maker(key)
    assert cache.read_through(key, make) == b"made"
    assert cache.read_through(key, make) == b"made"
    assert make.times == 1


def test_an_entry_is_kept_under_the_version_that_it_turned_out_to_have(key: str, counted_in_redis: Redis) -> None:
    newer = cache.key("test", "newer")
    assert cache.read_through(key, Maker(newer, b"newer")) == b"newer"
    assert counted_in_redis.keys() == [newer]
    assert cache.read_through(key, Maker(key, b"of its own")) == b"of its own"


def test_what_is_too_large_is_not_kept(key: str, counted_in_redis: Redis) -> None:
    entry = bytes(cache._LARGEST_BYTES + 1)
    assert cache.read_through(key, Maker(key, entry)) == entry
    assert counted_in_redis.keys() == []


def test_entries_do_not_stay_for_good(key: str, counted_in_redis: Redis) -> None:
    cache.remember(key, b"x", seconds=1)
    assert cache.recall(key) == b"x"
    deadline = time.monotonic() + 10
    while cache.recall(key) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("harm", ["frozen", "killed", "nowhere"])
def test_without_an_answer_from_redis_everybody_makes_it_himself(
    key: str, counted_in_redis: Redis, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Maker(key)
    try:
        if harm == "frozen":
            counted_in_redis.pause()
        elif harm == "killed":
            cache.recall(key)  # a connection is open
            counted_in_redis.stop()
        else:
            monkeypatch.setattr(cache, "is_there", lambda: False)
        assert [cache.read_through(key, make) for _ in range(2)] == [b"made"] * 2
        assert cache.recall(key) is None
    finally:
        if harm == "frozen":
            counted_in_redis.resume()
        if harm == "killed":
            counted_in_redis.start()
    assert make.times == 2


def test_an_entry_lost_while_it_is_waited_for_is_made_again(key: str, counted_in_redis: Redis) -> None:
    begun, flushed = threading.Event(), threading.Event()

    def slow() -> tuple[str, bytes]:
        begun.set()
        flushed.wait(10)
        return key, b"first"

    first = threading.Thread(target=lambda: cache.read_through(key, slow))
    first.start()
    assert begun.wait(10)
    counted_in_redis.empty()
    assert cache.read_through(key, Maker(key, b"second")) == b"second"
    flushed.set()
    first.join(10)
    assert cache.read_through(key, failing) in (b"first", b"second")
