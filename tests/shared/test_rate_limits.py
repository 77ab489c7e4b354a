"""rate_limits: as many requests as the limit says and not one more, and what callers are told."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest

from infra.local.stack import Stack
from shared import rate_limits
from shared.settings import settings
from shared.supabase_access import as_caller
from tests.client import Answer, Client, event, invoke
from tests.faults import FaultyUpstream
from tests.people import User
from tests.shared.conftest import A_DAY
from tests.storyboards import storyboard

Database = psycopg.Connection[Any]


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
        one, other = ("guest_" + uuid.uuid4().hex for _ in range(2))
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
