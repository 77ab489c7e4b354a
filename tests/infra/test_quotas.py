"""Quotas, held by the database: storage by what there is, renders and money by the month."""

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from postgrest import APIError

from functions.maintenance.handler import handler as maintenance
from infra.local.stack import Stack
from shared import upstream
from shared.settings import settings
from tests.bucket import Bucket
from tests.client import Client, Context, run_handler
from tests.people import User
from tests.storyboards import frame, png, storyboard, with_frames

Database = psycopg.Connection[Any]
DATA_URL = "data:image/png;base64," + base64.b64encode(png()).decode()


@pytest.fixture
def quota(database: Database) -> Iterator[Callable[[str, int], None]]:
    """Set quotas for a test."""
    before = database.execute("select amount, name from private.quotas").fetchall()

    def change(name: str, amount: int) -> None:
        database.execute("update private.quotas set amount = %s where name = %s", (amount, name))

    yield change
    with database.cursor() as cursor:
        cursor.executemany("update private.quotas set amount = %s where name = %s", before)


def stored(database: Database, subject: str, quota: int = 10**12) -> int:
    found = database.execute("select private.stored_bytes(%s, %s)", (subject, quota)).fetchone()
    assert found
    return int(found[0])


def really_stored(database: Database, subject: str) -> int:
    found = database.execute(
        "select coalesce(sum((metadata ->> 'size')::bigint), 0) from storage.objects where name like %s",
        (f"{subject}/%",),
    ).fetchone()
    assert found
    return int(found[0])


def age_count(database: Database, subject: str, seconds: int) -> None:
    database.execute(
        "update private.storage_counts set counted_at = now() - make_interval(secs => %s) where user_id = %s",
        (seconds, subject),
    )


# Storage


def test_all_that_lies_in_the_folder_counts_and_nothing_else(
    alice: User, bob: User, guest: Client, stack: Stack, database: Database
) -> None:
    alice.upload(png())
    alice.save(with_frames([frame(1, DATA_URL)]))
    Bucket(stack, alice, database).put("frames/straight.png", png(20, 20))
    bob.upload(png())
    guest.upload(png())
    database.execute("delete from private.storage_counts")
    assert stored(database, alice.subject) == really_stored(database, alice.subject) > 0
    assert stored(database, alice.subject[:-1]) == 0, "the beginning of a folder's name is another folder"
    assert stored(database, str(uuid.uuid4())) == 0


def test_it_is_counted_the_more_often_the_less_is_left(alice: User, database: Database) -> None:
    assert stored(database, alice.subject) == 0
    alice.upload(png())
    real = really_stored(database, alice.subject)
    for seconds, quota, counted in ((3000, 10**12, 0), (3, 0, 0), (60, 10**9 * 2, 0), (101, 10**9 * 2, real)):
        age_count(database, alice.subject, seconds)
        assert stored(database, alice.subject, quota) == counted, (seconds, quota)
    database.execute("update private.storage_counts set bytes = 0 where user_id = %s", (alice.subject,))
    age_count(database, alice.subject, 3601)
    assert stored(database, alice.subject) == real


@pytest.fixture(params=["in postgres", "in redis", "not"])
def requests_are_counted(request: pytest.FixtureRequest, function_environment: pytest.MonkeyPatch) -> None:
    """Run the test with each way of limiting rates, which quotas must not depend on."""
    if request.param == "in redis":
        request.getfixturevalue("counted_in_redis")
    elif request.param == "not":
        function_environment.setenv("RATE_LIMITS", "off")
        settings.cache_clear()


@pytest.mark.usefixtures("requests_are_counted")
def test_an_upload_beyond_the_quota_is_refused_and_stores_nothing(
    alice: User, bob: User, database: Database, quota: Callable[[str, int], None]
) -> None:
    assert alice.upload(png()).status == 200
    used = really_stored(database, alice.subject)
    quota("upload_bytes", used)
    age_count(database, alice.subject, 3601)
    for answer in (alice.upload(png(50, 50)), alice.save(with_frames([frame(1, DATA_URL)]))):
        assert (answer.status, answer.code) == (403, "quota_exceeded")
        assert (answer.json["quota"], answer.json["amount"]) == ("upload_bytes", used)
        assert "retry-after" not in answer.headers
    assert really_stored(database, alice.subject) == used
    assert alice.save(storyboard(alice.subject)).status == 200, "what stores no image needs no room"
    assert bob.upload(png()).status == 200


def test_guests_have_less(guest: Client, database: Database, quota: Callable[[str, int], None]) -> None:
    known = "guest_" + uuid.uuid4().hex
    assert guest.upload(png(), user_id=known).status == 200
    quota("guest_upload_bytes", 10)
    database.execute("delete from private.storage_counts")
    answer = guest.upload(png(), user_id=known)
    assert (answer.code, answer.json["quota"]) == ("quota_exceeded", "guest_upload_bytes")


def test_a_ticket_counts_on_top_of_what_is_there(
    alice: User, database: Database, quota: Callable[[str, int], None]
) -> None:
    alice.upload(png())
    used = really_stored(database, alice.subject)
    quota("upload_bytes", used + 1000)
    database.execute("delete from private.storage_counts")

    def ask(size: int) -> int:
        file = {"frameId": 1, "contentType": "image/png", "bytes": size}
        return alice.post("create_upload", {"files": [file]}).status

    assert [ask(1001), ask(600), ask(600), ask(400)] == [403, 200, 403, 200]


def test_what_was_announced_counts_as_what_it_has_become(alice: User, database: Database) -> None:
    assert stored(database, alice.subject) == 0
    alice.upload(png())
    database.execute(
        "insert into public.uploads (user_id, kind, content_type, bytes, status)"
        " values (%s, 'audio', 'audio/mpeg', 1, 'processing')",
        (alice.subject,),
    )
    assert stored(database, alice.subject) == 0, "counted lately"
    database.execute("update public.uploads set status = 'ready' where user_id = %s", (alice.subject,))
    assert stored(database, alice.subject) == really_stored(database, alice.subject) > 0


# Renders and money


class Renderings:
    """Videos of one user's session, asked for as its functions would."""

    def __init__(self, database: Database, user: User) -> None:
        self.database = database
        self.subject = user.subject
        given = storyboard(user.subject)
        assert user.save(given).status == 200
        self.session_id = given["sessionId"]

    def start(self, cost: float = 0, claims: dict[str, object] | None = None) -> int:
        said = {"sub": self.subject, "role": "authenticated"} if claims is None else claims
        with self.database.transaction():
            self.database.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps(said),))
            row = self.database.execute(
                "insert into public.final_videos (session_id, estimated_cost) values (%s, %s) returning id",
                (self.session_id, cost),
            ).fetchone()
        assert row
        return int(row[0])

    def refusal(self, cost: float = 0, claims: dict[str, object] | None = None) -> dict[str, Any]:
        with pytest.raises(psycopg.Error) as refused:
            self.start(cost, claims)
        assert refused.value.sqlstate == "PT403"
        assert refused.value.diag.message_primary == "quota_exceeded"
        found: dict[str, Any] = json.loads(refused.value.diag.message_detail or "")
        return found


@pytest.fixture
def renderings(database: Database, alice: User) -> Renderings:
    return Renderings(database, alice)


def test_a_month_has_as_many_renders_as_the_quota_says(
    renderings: Renderings, quota: Callable[[str, int], None]
) -> None:
    quota("renders_per_month", 2)
    renderings.start()
    renderings.start()
    said = renderings.refusal()
    assert (said["quota"], said["amount"]) == ("renders_per_month", 2)
    resets_at = datetime.fromisoformat(said["resetsAt"]).astimezone(UTC)
    now = datetime.now(UTC)
    assert (resets_at.day, resets_at.hour, resets_at.minute) == (1, 0, 0)
    assert 0 < said["retryAfter"] <= 31 * 86_400
    assert abs((resets_at - now).total_seconds() - said["retryAfter"]) < 60


def test_the_next_month_begins_anew(renderings: Renderings, quota: Callable[[str, int], None]) -> None:
    quota("renders_per_month", 1)
    renderings.start()
    renderings.refusal()
    renderings.database.execute(
        "update private.render_usage set created_at = date_trunc('month', now() at time zone 'utc') at time zone 'utc'"
        " - interval '1 second' where user_id = %s",
        (renderings.subject,),
    )
    renderings.start()
    renderings.refusal()


def test_deleting_a_video_gives_no_render_back(renderings: Renderings, quota: Callable[[str, int], None]) -> None:
    quota("renders_per_month", 1)
    renderings.start()
    renderings.database.execute("delete from public.final_videos where session_id = %s", (renderings.session_id,))
    renderings.refusal()
    renderings.database.execute("delete from public.video_sessions where session_id = %s", (renderings.session_id,))


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_what_came_to_nothing_does_not_count_but_costs_what_it_did(
    renderings: Renderings, quota: Callable[[str, int], None], status: str
) -> None:
    quota("renders_per_month", 1)
    quota("spending_cents_per_month", 100)
    video = renderings.start(cost=0.9)
    change = "update public.final_videos set status = %s, cost = %s where id = %s"
    renderings.database.execute(change, (status, 0.3, video))
    assert renderings.refusal(cost=0.71)["quota"] == "spending_cents_per_month"
    renderings.start(cost=0.69)


def test_money_is_estimated_until_it_is_known(renderings: Renderings, quota: Callable[[str, int], None]) -> None:
    quota("spending_cents_per_month", 100)
    video = renderings.start(cost=0.6)
    assert renderings.refusal(cost=0.5)["quota"] == "spending_cents_per_month"
    for status in ("rendering", "merging", "completed"):
        renderings.database.execute("update public.final_videos set status = %s where id = %s", (status, video))
    renderings.refusal(cost=0.5)
    renderings.database.execute("update public.final_videos set cost = 0.4 where id = %s", (video,))
    renderings.start(cost=0.5)


def test_requests_at_the_same_time_cannot_pass_it_together(
    renderings: Renderings, quota: Callable[[str, int], None], stack: Stack
) -> None:
    quota("renders_per_month", 3)

    def start(_: int) -> bool:
        with psycopg.connect(stack.superuser_url, autocommit=True) as own:
            try:
                Renderings.start(_with(renderings, own))
            except psycopg.Error:
                return False
            return True

    with ThreadPoolExecutor(8) as at_once:
        assert sum(at_once.map(start, range(12))) == 3


def _with(renderings: Renderings, database: Database) -> Renderings:
    found = object.__new__(Renderings)
    found.__dict__ = {**renderings.__dict__, "database": database}
    return found


def test_guests_have_fewer_renders(
    guest: Client, renderings: Renderings, database: Database, quota: Callable[[str, int], None]
) -> None:
    quota("guest_renders_per_month", 1)
    saved = guest.save(with_frames([frame(1, guest.upload(png()).json["imageUrl"])])).json
    renderings.session_id = saved["sessionId"]
    renderings.start()
    assert renderings.refusal()["quota"] == "guest_renders_per_month"


def test_what_the_service_starts_is_counted_and_not_refused(
    renderings: Renderings, quota: Callable[[str, int], None]
) -> None:
    quota("renders_per_month", 1)
    for _ in range(3):
        renderings.start(claims={"role": "service_role"})
    renderings.refusal()


def test_a_key_starts_a_video_only_with_the_scope_to_render(renderings: Renderings, alice: User) -> None:
    def claims(*scopes: str) -> dict[str, object]:
        made = alice.post("api_keys", {"name": "n", "scopes": list(scopes)}).json
        key = {"provider": "api_key", "key": made["apiKey"]["prefix"]}
        return {"sub": alice.subject, "role": "authenticated", "app_metadata": key}

    renderings.start(claims=claims("render"))
    for scopes in (("read",), ("write",), ("read", "write")):
        with pytest.raises(psycopg.Error, match="insufficient_scope"):
            renderings.start(claims=claims(*scopes))
    revoked = claims("render") | {"app_metadata": {"provider": "api_key", "key": "0" * 12}}
    with pytest.raises(psycopg.Error, match="invalid_api_key"):
        renderings.start(claims=revoked)


def test_the_answer_says_until_when_to_wait() -> None:
    details = json.dumps({"quota": "renders_per_month", "amount": 5, "resetsAt": "2030-01-01", "retryAfter": 77})
    raised = APIError({"code": "PT403", "message": "quota_exceeded", "details": details})
    error = upstream._database_error(raised, "callers")
    assert (error.status, error.code, error.retry_after) == (403, "quota_exceeded", 77)
    assert error.extra == {"quota": "renders_per_month", "amount": 5, "resetsAt": "2030-01-01"}


def test_what_was_counted_long_ago_is_forgotten(renderings: Renderings, alice: User, database: Database) -> None:
    alice.read("nothing")
    stored(database, alice.subject)
    renderings.start()
    tables = ("rate_buckets", "storage_counts", "render_usage")
    kept = "select " + ", ".join(
        f"(select count(*) from private.{table} where {column} like '%%' || %s || '%%')"
        for table, column in zip(tables, ("name", "user_id", "user_id"), strict=True)
    )

    def counts() -> Any:
        return database.execute(kept, [alice.subject] * 3).fetchone()

    database.execute("update private.rate_buckets set full_at = (extract(epoch from now()) + 60) * 1000000")
    context = Context(seconds=300)
    before = counts()
    assert min(before) > 0
    run_handler(maintenance, {}, context)
    assert counts() == before
    database.execute("update private.rate_buckets set full_at = 0")
    database.execute("update private.storage_counts set counted_at = now() - interval '2 days'")
    database.execute("update private.render_usage set created_at = now() - interval '3 months'")
    assert run_handler(maintenance, {"dryRun": True}, context)["forgottenCounts"] >= sum(before)
    assert counts() == before
    run_handler(maintenance, {}, context)
    assert counts() == (0, 0, 0)
