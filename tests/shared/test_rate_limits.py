"""rate_limits: as many requests as the limit says and not one more, by Postgres and by Redis alike."""

import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from infra.local.stack import Stack
from shared import cache, rate_limits
from shared.rate_limits import counted_in_postgres, take_in_redis
from shared.settings import settings
from shared.supabase_access import as_caller
from tests.client import Answer, Client, event, invoke
from tests.faults import FaultyUpstream
from tests.people import User
from tests.running_redis import Redis
from tests.storyboards import storyboard

Database = psycopg.Connection[Any]
Wanted = list[tuple[str, int, int]]
Take = Callable[[Wanted, int], tuple[bool, list[int]]]

SECOND = 1_000_000
NOON = 1_800_000_000 * SECOND
A_DAY = 86_400  # long enough that nothing comes back while a test runs


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


# What callers see, wherever it is counted.


@pytest.fixture
def limit(database: Database) -> Iterator[Callable[..., None]]:
    """Set limits for a test: `limit("user", "read", 2)` lets two through, and then none for a day."""

    def change(policy: str, work: str, amount: int, seconds: int = A_DAY) -> None:
        database.execute(
            "update private.rate_limits set amount = %s, seconds = %s where policy = %s and work = %s",
            (amount, seconds, policy, work),
        )

    database.execute("truncate private.rate_buckets")
    before = database.execute("select amount, seconds, policy, work from private.rate_limits").fetchall()
    yield change
    with database.cursor() as cursor:
        cursor.executemany(
            "update private.rate_limits set amount = %s, seconds = %s where policy = %s and work = %s", before
        )
    database.execute("truncate private.rate_buckets")


@pytest.fixture(params=["postgres", "redis"])
def wherever(request: pytest.FixtureRequest, function_environment: pytest.MonkeyPatch) -> str:
    """Run the test once with each store."""
    if request.param == "redis":
        request.getfixturevalue("counted_in_redis")
    return str(request.param)


def assert_refused(answer: Answer, policy: str) -> None:
    assert (answer.status, answer.code) == (429, "rate_limited")
    assert answer.json["requestId"] == answer.headers["x-request-id"]
    assert int(answer.headers["retry-after"]) > 60
    assert f'"{policy}";r=0;t=' in answer.headers["ratelimit"]


@pytest.mark.usefixtures("wherever")
class TestAnswers:
    def test_an_answer_says_what_is_left(self, alice: User, limit: Callable[..., None]) -> None:
        limit("user", "read", 3, seconds=60)
        answer = alice.read("nothing")
        assert answer.status == 404
        assert answer.headers["ratelimit-policy"] == '"user-read";q=3;w=60'
        assert answer.headers["ratelimit"] == '"user-read";r=2;t=20'

    def test_one_request_too_many_is_refused_and_says_until_when(
        self, alice: User, bob: User, limit: Callable[..., None]
    ) -> None:
        limit("user", "read", 2)
        given = storyboard(alice.subject)
        alice.save(given)
        assert [alice.read(given["sessionId"]).status for _ in range(2)] == [200, 200]
        refused = alice.read(given["sessionId"])
        assert_refused(refused, "user-read")
        assert given["originalPrompt"].encode() not in refused.body
        assert int(refused.headers["retry-after"]) <= A_DAY / 2
        assert bob.read("nothing").status == 404, "another one is not kept waiting"
        assert alice.save(given).status == 200, "another kind of work is counted by itself"

    def test_what_is_not_there_counts_as_well(self, alice: User, limit: Callable[..., None]) -> None:
        limit("user", "read", 2)
        assert [alice.read("nothing").status for _ in range(3)] == [404, 404, 429]

    def test_a_refused_save_saves_nothing(self, alice: User, database: Database, limit: Callable[..., None]) -> None:
        limit("user", "write", 1)
        assert alice.save(storyboard(alice.subject)).status == 200
        assert_refused(alice.save(storyboard(alice.subject)), "user-write")
        count = "select count(*) from public.video_sessions where user_id = %s"
        assert database.execute(count, (alice.subject,)).fetchone() == (1,)

    def test_guests_of_one_address_are_counted_together_and_each_by_itself(
        self, guest: Client, limit: Callable[..., None]
    ) -> None:
        limit("address", "read", 3)
        limit("guest", "read", 2)
        one, other = ("guest_" + new_name() for _ in range(2))
        with_address = event("GET", query={"sessionId": "x", "userId": other})
        with_address["requestContext"]["http"]["sourceIp"] = "198.51.100.7"
        assert [guest.read("x", userId=one).status for _ in range(2)] == [404, 404]
        assert_refused(guest.read("x", userId=one), "guest-read")
        assert guest.read("x", userId=other).status == 404
        assert_refused(guest.read("x", userId=other), "address-read")
        assert invoke("get_frames", with_address).status == 404, "from elsewhere"

    def test_an_address_that_a_client_makes_up_does_not_count(
        self, guest: Client, limit: Callable[..., None], function_environment: pytest.MonkeyPatch
    ) -> None:
        limit("address", "read", 1)
        said = [{"X-Forwarded-For": f"203.0.113.{number}"} for number in range(3)]
        assert [guest.read("x", headers=one).status for one in said] == [404, 429, 429]
        function_environment.setenv("TRUSTED_PROXIES", "1")
        settings.cache_clear()
        assert [guest.read("x", headers=one).status for one in said] == [404, 404, 404]
        made_up = [{"X-Forwarded-For": f"10.0.0.{number}, 203.0.113.9"} for number in range(3)]
        assert [guest.read("x", headers=one).status for one in made_up] == [404, 429, 429]

    def test_without_limits_nobody_waits(
        self, alice: User, limit: Callable[..., None], function_environment: pytest.MonkeyPatch
    ) -> None:
        limit("user", "read", 1)
        function_environment.setenv("RATE_LIMITS", "off")
        settings.cache_clear()
        answers = [alice.read("nothing") for _ in range(3)]
        assert [answer.status for answer in answers] == [404, 404, 404]
        assert "ratelimit" not in answers[0].headers

    def test_a_policy_without_a_row_sets_no_limit(self, alice: User, database: Database) -> None:
        with database.transaction(force_rollback=False):
            database.execute("delete from private.rate_limits where policy = 'user' and work = 'read'")
        try:
            answer = alice.read("nothing")
            assert (answer.status, "ratelimit" in answer.headers) == (404, False)
        finally:
            database.execute("insert into private.rate_limits (policy, work, amount) values ('user', 'read', 1200000)")


def test_addresses_of_one_network_are_one(guest: Client, limit: Callable[..., None]) -> None:
    limit("address", "read", 1)

    def read(address: str) -> int:
        given = event("GET", query={"sessionId": "x"})
        given["requestContext"]["http"]["sourceIp"] = address
        return invoke("get_frames", given).status

    network = f"2001:db8:{uuid.uuid4().hex[:4]}:1"
    assert [read(f"{network}::1"), read(f"{network}::2"), read(f"{network[:-1]}2::1")] == [404, 429, 404]
    assert [read("198.51.100.77"), read("::ffff:198.51.100.77")] == [404, 429]


# Redis is no more than a faster way.


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


# Counting beside the work, or with it.


@pytest.fixture
def upstream(stack: Stack, function_environment: pytest.MonkeyPatch) -> Iterator[FaultyUpstream]:
    """A proxy that sees what is asked of Supabase."""
    found = FaultyUpstream(stack.info["supabaseUrl"])
    function_environment.setenv("SUPABASE_JWT_ISSUER", f"{stack.info['supabaseUrl']}/auth/v1")
    function_environment.setenv("SUPABASE_URL", found.url)
    settings.cache_clear()
    yield found
    found.close()


def test_reading_does_not_wait_for_the_count_but_writing_does(alice: User, upstream: FaultyUpstream) -> None:
    with upstream.failing("/rest/v1/rpc/admit", "error_500"):
        answer = alice.get("history")
        assert (answer.status, answer.code) == (503, "database_unavailable")
        assert "POST /rest/v1/rpc/list_history" in upstream.seen
        upstream.seen.clear()
        assert alice.save(storyboard(alice.subject)).status == 503
        assert upstream.seen == ["POST /rest/v1/rpc/admit"]


READ_FRAMES = "POST /rest/v1/rpc/read_frames"


def test_a_storyboard_is_read_and_counted_in_one_round_trip(alice: User, upstream: FaultyUpstream) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    assert alice.read(given["sessionId"]).status == 200
    upstream.seen.clear()
    answer = alice.read(given["sessionId"])
    assert "ratelimit" in answer.headers
    assert upstream.seen == [READ_FRAMES]


def test_what_is_read_is_the_same_whether_it_is_counted_or_not(
    alice: User, function_environment: pytest.MonkeyPatch
) -> None:
    session_id = alice.save(storyboard(alice.subject, count=5)).json["sessionId"]
    first = alice.read(session_id, limit=2)
    pages = [first, alice.read(session_id, limit=2, cursor=first.json["nextCursor"]), alice.read(session_id)]
    assert [len(page.json["frames"]) for page in pages] == [2, 2, 5]
    function_environment.setenv("RATE_LIMITS", "off")
    settings.cache_clear()
    first = alice.read(session_id, limit=2)
    others = [first, alice.read(session_id, limit=2, cursor=first.json["nextCursor"]), alice.read(session_id)]
    assert [(page.body, page.headers["etag"]) for page in others] == [
        (page.body, page.headers["etag"]) for page in pages
    ]


def test_a_reading_that_fails_is_not_counted_once_more(alice: User, upstream: FaultyUpstream) -> None:
    assert alice.read("nothing").status == 404
    upstream.seen.clear()
    with upstream.failing("/rest/v1/rpc/read_frames", "error_500"):
        assert alice.read("nothing").code == "database_unavailable"
    assert upstream.seen == [READ_FRAMES]


def test_what_is_refused_before_it_reads_counts_as_well(alice: User, limit: Callable[..., None]) -> None:
    limit("user", "read", 2)
    answers = [alice.read("nothing", cursor="none of ours") for _ in range(3)]
    assert [answer.code for answer in answers] == ["invalid_cursor", "invalid_cursor", "rate_limited"]
    assert answers[0].headers["ratelimit"].startswith('"user-read";r=1;')


# Asking the database itself.


def test_many_requests_of_one_caller_at_once(alice: User, limit: Callable[..., None]) -> None:
    limit("user", "render", 20)

    def ask(_: int) -> bool:
        return counted_in_postgres(as_caller(alice.token or ""), "render").allowed

    assert at_once(ask, 100, threads=8) == 20


def test_nobody_can_use_up_the_limit_of_another(alice: User, bob: User, database: Database) -> None:
    url = f"{settings().supabase_url}/rest/v1/rpc"
    headers = {"apikey": settings().anon_key, "Authorization": f"Bearer {bob.token}"}
    claimed = {"p_work": "read", "sub": alice.subject}
    assert httpx.post(f"{url}/admit", json=claimed, headers=headers).status_code == 404
    assert httpx.post(f"{url}/admit", json={"p_work": "read"}, headers=headers).status_code == 200
    count = "select count(*) from private.rate_buckets where name like '%%' || %s || '%%'"
    assert database.execute(count, (alice.subject,)).fetchone() == (0,)
    for name, body in (("take", {}), ("forget_counts", {"p_dry_run": False})):
        assert httpx.post(f"{url}/{name}", json=body, headers=headers).status_code in (403, 404), name
    anonymous = {"apikey": settings().anon_key}
    assert httpx.post(f"{url}/admit", json={"p_work": "read"}, headers=anonymous).status_code == 401


def test_every_policy_limits_every_kind_of_work(stack: Stack, alice: User) -> None:
    rows = as_caller(alice.token or "").rpc("list_rate_limits", {})
    kinds = {(row["policy"], row["work"]) for row in rows}
    assert kinds == {
        (policy, work)
        for policy in ("user", "guest", "address", "key")
        for work in ("read", "write", "upload", "render")
    }
    assert json.dumps(rows)
    assert rate_limits.Verdict(allowed=True, buckets=[]).headers()
