"""What is put into the media bucket reaches the function, and what announces it never stands in the way."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from functions.maintenance.handler import handler as maintenance
from functions.maintenance.lost_work import announce_files
from infra.local.stack import Stack
from infra.migrate import INFRA, migrate
from shared.supabase_access import as_service
from tests.bucket import Bucket
from tests.client import in_parallel, run_handler
from tests.infra.running import until
from tests.people import User
from tests.shared.image_files import GPS_LATITUDE, decoded, encoded, exif, gradient
from tests.storyboards import png

Database = psycopg.Connection[Any]

SQL = (INFRA / "storage" / "03_storage_webhook.sql").read_bytes()
INSERT = (
    "insert into storage.objects (bucket_id, name, owner_id, version)"
    " values (%s, 'somebody/frames/one.png', %s, '1') returning to_jsonb(objects)"
)
SOMEBODY = "6f9619ff-8b86-4011-b42d-00c04fc964ff"


@pytest.fixture
def bucket(stack: Stack, alice: User, database: Database) -> Bucket:
    return Bucket(stack, alice, database)


@pytest.fixture
def undone(database: Database) -> Iterator[Database]:
    """A connection past all privileges; nothing that it does stays, and nothing is sent."""
    with database.transaction(force_rollback=True):
        yield database


def queued(database: Database) -> list[tuple[Any, ...]]:
    query = "select convert_from(body, 'UTF8')::jsonb, url, headers, method from net.http_request_queue order by id"
    return database.execute(query).fetchall()


def until_quiet(database: Database) -> None:
    until(lambda: not queued(database))


@pytest.fixture
def unheard(function_environment: pytest.MonkeyPatch, database: Database) -> Iterator[Callable[[], None]]:
    """What is announced reaches nobody, until this is called."""
    [(url,)] = database.execute("select url from private.webhook_targets").fetchall()

    def heard() -> None:
        until_quiet(database)
        database.execute("update private.webhook_targets set url = %s", (url,))

    until_quiet(database)
    database.execute("delete from private.object_announcements")  # of other tests
    database.execute("update private.webhook_targets set url = 'http://127.0.0.1:9/'")
    yield heard
    heard()


def waiting(database: Database, bucket: Bucket, name: str) -> list[tuple[Any, ...]]:
    """Return the attempts that were made to announce a file that nothing was heard of."""
    row = bucket.row(name)
    assert row
    query = "select attempts from private.object_announcements where object_id = %s"
    return database.execute(query, (row["id"],)).fetchall()


def let_pass(database: Database, minutes: int) -> None:
    moved = "update private.object_announcements set first_at = first_at - %(by)s, last_at = last_at - %(by)s"
    database.execute(moved, {"by": timedelta(minutes=minutes)})


def test_an_image_put_straight_into_storage_is_optimised_in_place(bucket: Bucket, database: Database) -> None:
    name = bucket.put("frames/one.jpg", encoded(gradient(2400, 1600), "JPEG", exif=exif(6)), "image/jpeg")
    until(lambda: len(bucket.uploads()) == 1)
    served = bucket.get(name)
    assert served.headers["content-type"] == "image/webp"
    assert decoded(served.content).size == (1280, 1920)
    assert GPS_LATITUDE not in served.content
    until_quiet(database)
    assert [status for status, *_ in bucket.uploads()] == ["ready"]


def test_a_page_that_calls_itself_an_image_is_removed(bucket: Bucket) -> None:
    name = bucket.put("frames/one.png", b"<!doctype html><script>alert(1)</script>")
    until(lambda: bucket.row(name) is None)
    assert bucket.uploads() == [("rejected", "not_an_image", None)]


def test_what_replaces_a_good_image_is_verified_too(bucket: Bucket) -> None:
    name = bucket.put("frames/one.png", png())
    until(lambda: len(bucket.uploads()) == 1)
    bucket.put("frames/one.png", b"no image")
    until(lambda: bucket.row(name) is None)
    assert [status for status, *_ in bucket.uploads()] == ["ready", "rejected"]


def test_a_moved_image_stays_as_it_is(bucket: Bucket, database: Database) -> None:
    name = bucket.put("frames/one.png", png())
    until(lambda: len(bucket.uploads()) == 1)
    before = bucket.get(name).content
    bucket.move(name, f"{bucket.subject}/frames/two.png")
    until_quiet(database)
    assert bucket.get(f"{bucket.subject}/frames/two.png").content == before


def test_what_upload_image_stores_is_left_alone(bucket: Bucket, alice: User, database: Database) -> None:
    answers = [alice.upload(png(640, 300 + number), number).json for number in range(4)]
    names = [one[key].partition("/videomaker/")[2] for one in answers for key in ("imageUrl", "thumbnailUrl")]
    before = [(bucket.row(name), bucket.get(name).content) for name in names]
    until_quiet(database)
    statuses = "select distinct status_code, content from net._http_response where content like '%\"kept\"%'"
    assert database.execute(statuses).fetchall() == [(200, '{"success":true,"outcome":"kept"}')]
    assert [(bucket.row(name), bucket.get(name).content) for name in names] == before
    assert bucket.uploads() == []


def test_many_files_of_which_some_are_poisoned_end_as_they_should(bucket: Bucket, database: Database) -> None:
    good = [bucket.put(f"frames/good{number}.png", png(40 + number, 40)) for number in range(18)]
    bad = [bucket.put(f"frames/bad{number}.png", png()[: 60 + number]) for number in range(2)]
    until(lambda: len(bucket.uploads()) == 20)
    until_quiet(database)
    assert all(bucket.get(name).headers["content-type"] == "image/webp" for name in good)
    assert all(bucket.row(name) is None for name in bad)
    assert sorted(status for status, *_ in bucket.uploads()) == ["ready"] * 18 + ["rejected"] * 2


def test_a_file_whose_announcement_was_lost_is_verified_all_the_same(
    unheard: Callable[[], None], bucket: Bucket, database: Database
) -> None:
    bad, good = bucket.put("frames/bad.png", b"<script>"), bucket.put("frames/good.png", png())
    unheard()
    let_pass(database, 4)
    run_handler(maintenance, {"only": "messages"})
    assert waiting(database, bucket, good) == [(1,)]
    let_pass(database, 2)
    assert run_handler(maintenance, {"only": "messages"})["storedFiles"] == {"sent": 2, "givenUp": 0}
    until(lambda: len(bucket.uploads()) == 2)
    until(lambda: waiting(database, bucket, good) == [])
    assert bucket.row(bad) is None
    assert bucket.get(good).headers["content-type"] == "image/webp"
    let_pass(database, 60)
    assert announce_files(as_service())["sent"] == 0


@pytest.mark.usefixtures("unheard")
def test_what_is_not_heard_is_announced_less_and_less_often_and_given_up_after_a_day(
    bucket: Bucket, database: Database
) -> None:
    name = bucket.put("frames/one.png", png())
    sent = 0
    for _ in range(24 * 12 + 1):
        let_pass(database, 5)
        sent += announce_files(as_service())["sent"]
    assert waiting(database, bucket, name) == [(1 + sent,)]
    assert 3 <= sent <= 6
    let_pass(database, 5 * 4**sent)
    assert announce_files(as_service()) == {"sent": 0, "givenUp": 1}
    assert waiting(database, bucket, name) == []
    assert bucket.row(name)


@pytest.mark.usefixtures("unheard")
def test_a_file_that_is_gone_is_forgotten(bucket: Bucket, database: Database) -> None:
    name = bucket.put("frames/one.png", png())
    row = bucket.row(name)
    assert row
    as_service().remove([name])
    let_pass(database, 6)
    assert announce_files(as_service()) == {"sent": 0, "givenUp": 0}
    assert (
        database.execute("select from private.object_announcements where object_id = %s", (row["id"],)).fetchall() == []
    )


@pytest.mark.usefixtures("unheard")
def test_an_answer_for_the_file_before_says_nothing_of_what_replaced_it(bucket: Bucket, database: Database) -> None:
    first = bucket.row(bucket.put("frames/one.png", png()))
    name = bucket.put("frames/one.png", b"no image")
    assert first
    as_service().rpc("settle_announcement", {"p_object_id": first["id"], "p_version": first["version"]})
    assert waiting(database, bucket, name) == [(1,)]


@pytest.mark.usefixtures("unheard")
def test_two_runs_at_once_announce_a_file_once(bucket: Bucket, database: Database) -> None:
    bucket.put("frames/one.png", png())
    let_pass(database, 6)
    assert sum(in_parallel(lambda _: announce_files(as_service())["sent"], 4)) == 1


def test_the_announcement_has_the_form_of_a_database_webhook(stack: Stack, undone: Database) -> None:
    undone.execute("delete from net.http_request_queue")
    inserted = undone.execute(INSERT, ("videomaker", SOMEBODY)).fetchone()
    undone.execute("update storage.objects set version = '2' where name = 'somebody/frames/one.png'")
    (first, url, headers, method), (second, *_) = queued(undone)
    assert inserted
    assert first == {
        "type": "INSERT", "table": "objects", "schema": "storage", "record": inserted[0], "old_record": None,
    }  # fmt: skip
    assert (second["type"], second["old_record"]) == ("UPDATE", inserted[0])
    assert second["record"] == inserted[0] | {"version": "2", "updated_at": second["record"]["updated_at"]}
    assert (method, url) == ("POST", f"{stack.info['apiUrl']}/api/storage_webhook")
    assert headers["X-Webhook-Secret"] == stack.function_environment()["STORAGE_WEBHOOK_SECRET"]
    assert headers["X-Webhook-Timestamp"].isdigit()


def test_what_changes_no_bytes_is_not_announced(undone: Database) -> None:
    undone.execute("delete from net.http_request_queue")
    undone.execute(INSERT, ("videomaker", None))  # written with the service key
    undone.execute("insert into storage.buckets (id, name) values ('other', 'other')")
    undone.execute(INSERT, ("other", SOMEBODY))
    assert queued(undone) == []
    undone.execute("update storage.objects set owner_id = %s where bucket_id = 'videomaker'", (SOMEBODY,))
    undone.execute("update storage.objects set last_accessed_at = now() where bucket_id = 'videomaker'")
    assert queued(undone) == []


BROKEN = {
    "pg_net is not there": "drop schema net cascade",
    "pg_net fails": "create or replace function net.http_post(url text, body jsonb default '{}', params jsonb default"
    " '{}', headers jsonb default '{\"Content-Type\": \"application/json\"}', timeout_milliseconds int default 5000)"
    " returns bigint language plpgsql as 'begin raise exception ''no''; end'",
    "no address was given": "delete from private.webhook_targets",
    "the addresses are gone": "drop table private.webhook_targets cascade",
}


@pytest.mark.parametrize("breakage", BROKEN)
def test_a_write_never_fails_because_it_cannot_be_announced(undone: Database, breakage: str) -> None:
    undone.execute(BROKEN[breakage].encode())
    undone.execute(INSERT, ("videomaker", SOMEBODY))
    undone.execute("update storage.objects set version = '2' where name = 'somebody/frames/one.png'")


def test_where_triggers_are_refused_the_migration_goes_on(undone: Database) -> None:
    undone.execute("drop trigger videomaker_announce_object on storage.objects")
    undone.execute("revoke supabase_storage_admin from postgres")
    undone.execute("revoke trigger on storage.objects from postgres, anon, authenticated, service_role cascade")
    undone.execute("set local role postgres")
    undone.execute(SQL)
    triggers = "select from pg_trigger where tgname = 'videomaker_announce_object'"
    assert undone.execute(triggers).fetchone() is None


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_no_caller_can_read_the_secret(undone: Database, role: str) -> None:
    undone.execute(f"set local role {role}".encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        undone.execute("select * from private.webhook_targets")


def test_a_migration_without_an_address_leaves_the_one_there_was(stack: Stack, database: Database) -> None:
    query = "select name, url, secret from private.webhook_targets"
    before = database.execute(query).fetchall()
    migrate(stack.info["databaseUrl"])
    assert database.execute(query).fetchall() == before
    migrate(stack.info["databaseUrl"], storage_webhook=("http://127.0.0.1:1/", "other"))
    assert database.execute(query).fetchall() == [("storage_webhook", "http://127.0.0.1:1/", "other")]
    migrate(stack.info["databaseUrl"], storage_webhook=before[0][1:])
    assert database.execute(query).fetchall() == before
