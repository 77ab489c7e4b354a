"""rate_limits: one algorithm in Postgres and in Redis, however many ask at once."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from infra.local.stack import Stack
from shared import cache
from shared.rate_limits import counted_in_postgres, take_in_redis
from shared.supabase_access import as_caller
from tests.people import User
from tests.running_redis import Redis
from tests.shared.conftest import A_DAY

Database = psycopg.Connection[Any]
Wanted = list[tuple[str, int, int]]
Take = Callable[[Wanted, int], tuple[bool, list[int]]]

SECOND = 1_000_000
NOON = 1_800_000_000 * SECOND


def new_name() -> str:
    return uuid.uuid4().hex


def take_in(database: Database, wanted: Wanted, now: int) -> tuple[bool, list[int]]:
    names, amounts, seconds = ([one[part] for one in wanted] for part in range(3))
    row = database.execute(
        "select allowed, full_in from private.take(%s, %s, %s, %s)", (names, amounts, seconds, now or None)
    ).fetchone()
    assert row
    return row[0], row[1]


@pytest.fixture
def in_postgres(database: Database) -> Take:
    return lambda wanted, now: take_in(database, wanted, now)


@pytest.fixture
def in_redis(counted_in_redis: Redis) -> Take:
    def take(wanted: Wanted, now: int) -> tuple[bool, list[int]]:
        taken = take_in_redis(wanted, now)
        assert taken, "Redis did not answer"
        return taken

    return take


@pytest.fixture(params=["in_postgres", "in_redis"])
def take(request: pytest.FixtureRequest) -> Take:
    """Either store."""
    found: Take = request.getfixturevalue(request.param)
    return found


# The algorithm, at times that the test chooses.


def test_all_at_once_or_evenly(take: Take) -> None:
    limit = [(new_name(), 3, 60)]
    assert [take(limit, NOON) for _ in range(4)] == [
        (True, [20 * SECOND]),
        (True, [40 * SECOND]),
        (True, [60 * SECOND]),
        (False, [60 * SECOND]),
    ]
    assert take(limit, NOON + 20 * SECOND - 1) == (False, [40 * SECOND + 1])
    assert take(limit, NOON + 20 * SECOND) == (True, [60 * SECOND])
    assert take(limit, NOON + 20 * SECOND) == (False, [60 * SECOND])


def test_what_was_not_asked_for_is_not_saved_up_beyond_the_limit(take: Take) -> None:
    limit = [(new_name(), 3, 60)]
    take(limit, NOON)
    later = NOON + 3600 * SECOND
    assert [take(limit, later)[0] for _ in range(5)] == [True, True, True, False, False]


def test_a_refusal_takes_nothing_from_any_bucket(take: Take) -> None:
    small, large = (new_name(), 1, 60), (new_name(), 5, 50)
    assert take([large, small], NOON) == (True, [10 * SECOND, 60 * SECOND])
    for _ in range(3):
        assert take([large, small], NOON) == (False, [10 * SECOND, 60 * SECOND])
    assert take([large], NOON) == (True, [20 * SECOND])


def test_a_clock_that_goes_back_gives_nothing_away(take: Take) -> None:
    limit = [(new_name(), 2, 60)]
    take(limit, NOON)
    assert take(limit, NOON - 10 * SECOND) == (False, [40 * SECOND])


def test_without_any_limit_everything_is_let_through(take: Take) -> None:
    assert take([], NOON) == (True, [])


REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 40 * SECOND), st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True).map(sorted)
    ),
    max_size=12,
)
LIMITS = st.tuples(*[st.tuples(st.integers(1, 7), st.sampled_from([1, 7, 60, 3600]))] * 3)


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(requests=REQUESTS, limits=LIMITS)
def test_both_stores_give_the_same_answers(
    in_postgres: Take, in_redis: Take, requests: list[tuple[int, list[str]]], limits: tuple[tuple[int, int], ...]
) -> None:
    run, now = new_name(), NOON
    for passed, names in requests:
        now += passed
        wanted = [(f"{run}:{name}", *limits["abc".index(name)]) for name in names]
        assert in_postgres(wanted, now) == in_redis(wanted, now)


# Many at once, by the stores' own clocks.


def at_once(work: Callable[[int], bool], times: int, threads: int) -> int:
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(times)))


def test_of_a_thousand_at_once_exactly_a_hundred_pass_in_postgres(stack: Stack) -> None:
    limit = [(new_name(), 100, A_DAY)]
    local = threading.local()

    def ask(_: int) -> bool:
        if not hasattr(local, "connection"):
            local.connection = psycopg.connect(stack.superuser_url, autocommit=True)
        return take_in(local.connection, limit, 0)[0]

    assert at_once(ask, 1000, threads=20) == 100


def test_of_a_thousand_at_once_exactly_a_hundred_pass_in_redis(
    counted_in_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_TIMEOUT_SECONDS", 10)  # twenty threads make one another wait
    cache._client.cache_clear()
    cache._registered.cache_clear()
    limit = [(new_name(), 100, A_DAY)]

    def ask(_: int) -> bool:
        taken = take_in_redis(limit)
        assert taken
        return taken[0]

    assert at_once(ask, 1000, threads=20) == 100
    cache._client.cache_clear()
    cache._registered.cache_clear()


def test_buckets_in_another_order_do_not_wait_for_one_another(stack: Stack) -> None:
    one, other = (new_name(), 10_000, 60), (new_name(), 10_000, 60)
    local = threading.local()

    def ask(turn: int) -> bool:
        if not hasattr(local, "connection"):
            local.connection = psycopg.connect(stack.superuser_url, autocommit=True)
        return take_in(local.connection, [one, other] if turn % 2 else [other, one], 0)[0]

    assert at_once(ask, 400, threads=8) == 400


def test_many_requests_of_one_caller_at_once(alice: User, limit: Callable[..., None]) -> None:
    limit("user", "render", 20)

    def ask(_: int) -> bool:
        return counted_in_postgres(as_caller(alice.token or ""), "render").allowed

    assert at_once(ask, 100, threads=8) == 20
