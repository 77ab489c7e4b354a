"""maintenance: what nobody needs any more goes, and nothing else."""

import time
import uuid
from typing import Any

import psycopg
import pytest

from functions.maintenance.handler import handler
from shared.errors import AppError
from shared.settings import settings
from tests.client import Client, Context, in_parallel, run_handler
from tests.functions.test_create_upload import ask, file, state
from tests.logs import Lines
from tests.people import User
from tests.storyboards import frame, image_url, png, with_frames
from tests.videos import Queues

Database = psycopg.Connection[Any]


def run(**event: object) -> dict[str, Any]:
    found: dict[str, Any] = run_handler(handler, event, Context(seconds=300))
    return found


def names(database: Database, user: User) -> set[str]:
    found = database.execute("select name from storage.objects where name like %s", (f"{user.subject}/%",)).fetchall()
    return {name for (name,) in found}


def age(database: Database, user: User, interval: str = "25 hours") -> None:
    database.execute(
        "update storage.objects set created_at = now() - %s::interval where name like %s",
        (interval, f"{user.subject}/%"),
    )


@pytest.fixture(autouse=True)
def nothing_old(function_environment: pytest.MonkeyPatch, database: Database) -> None:
    """Files of other tests are young."""
    database.execute("update storage.objects set created_at = now()")


def test_files_that_were_never_saved_go_after_a_day(alice: User, database: Database) -> None:
    alice.upload(png())
    age(database, alice)
    report = run()
    assert report["orphanedFiles"]["count"] == 2
    assert report["orphanedFiles"]["bytes"] > 0
    assert names(database, alice) == set()


def test_young_files_and_saved_ones_stay(alice: User, bob: User, database: Database) -> None:
    alice.upload(png())
    bob.save(with_frames([frame(1, bob.upload(png()).json["imageUrl"])]))
    age(database, bob)
    before = names(database, alice) | names(database, bob)
    assert len(before) == 4
    assert run()["orphanedFiles"]["count"] == 0
    assert names(database, alice) | names(database, bob) == before


def test_a_dry_run_counts_and_leaves_everything(alice: User, database: Database) -> None:
    alice.upload(png())
    age(database, alice)
    before = names(database, alice)
    report = run(dryRun=True)
    assert report["dryRun"] is True
    assert report["orphanedFiles"]["count"] == 2
    assert names(database, alice) == before


def test_frames_whose_file_is_gone_are_reported(alice: User) -> None:
    saved = alice.save(with_frames([frame(1, image_url(alice.subject))])).json
    missing = run(dryRun=True)["missingFiles"]
    assert saved["sessionId"] in {one["session_id"] for one in missing}


def test_of_many_missing_files_those_that_were_saved_last_are_shown(alice: User, database: Database) -> None:
    many = alice.save(with_frames([frame(1, image_url(alice.subject))])).json["sessionId"]
    database.execute(
        "insert into public.video_frames (session_id, frame_number, timestamp, image_url, description, prompt)"
        " select %s, n, '0s', 'gone/frames/' || n || '.webp', 'd', 'p' from generate_series(2, 150) n",
        (many,),
    )
    last = alice.save(with_frames([frame(1, image_url(alice.subject))])).json["sessionId"]
    missing = run(dryRun=True)["missingFiles"]
    assert len(missing) == 100
    assert missing[0]["session_id"] == last
    assert {one["session_id"] for one in missing} == {last, many}


def test_more_files_than_one_batch_are_removed(alice: User, database: Database) -> None:
    database.execute(
        "insert into storage.objects (bucket_id, name, owner_id, created_at)"
        " select 'videomaker', %s || '/frames/' || n || '.webp', %s, now() - interval '2 days'"
        " from generate_series(1, 1203) n",
        (alice.subject, alice.subject),
    )
    assert run()["orphanedFiles"]["count"] == 1203
    assert names(database, alice) == set()


def test_tickets_that_nobody_used_expire(alice: User, database: Database) -> None:
    used, unused = (ask(alice, file()).json["uploads"][0]["uploadId"] for _ in range(2))
    database.execute("update public.uploads set expires_at = now() - interval '1 minute' where id = %s", (unused,))
    assert run(dryRun=True)["expiredUploads"] >= 1
    assert run()["expiredUploads"] >= 1
    statuses = dict(
        database.execute("select id::text, status from public.uploads where id in (%s, %s)", (used, unused)).fetchall()
    )
    assert statuses == {used: "waiting", unused: "expired"}
    assert state(alice, unused).json["status"] == "expired"


def test_run_twice_it_finds_nothing_the_second_time(alice: User, database: Database) -> None:
    alice.upload(png())
    age(database, alice)
    run()
    assert run()["orphanedFiles"] == {"count": 0, "bytes": 0}


def test_files_of_ready_clips_stay(alice: User, database: Database) -> None:
    name = f"{alice.subject}/clips/{uuid.uuid4()}.mp4"
    database.execute(
        "insert into storage.objects (bucket_id, name, created_at)"
        " values ('videomaker', %s, now() - interval '2 days')",
        (name,),
    )
    database.execute(
        "insert into public.uploads (user_id, kind, content_type, bytes, status, result)"
        " values (%s, 'clip', 'video/mp4', 1, 'ready', jsonb_build_object('path', %s::text))",
        (alice.subject, name),
    )
    assert run()["orphanedFiles"]["count"] == 0


def test_what_guests_left_unsaved_goes_too(guest: Client, database: Database) -> None:
    guest.upload(png())
    database.execute("update storage.objects set created_at = now() - interval '2 days' where name like 'guests/%'")
    assert run()["orphanedFiles"]["count"] >= 2


# The rest: guests, what has ended, what is stuck, the report, and two at once


def guest_session(guest: Client, database: Database, days: int) -> str:
    """Save a session of a guest's that was left alone for so many days since, and return its id."""
    guest_id = f"guest_{uuid.uuid4().hex}"
    image = guest.upload(png(), user_id=guest_id).json["imageUrl"]
    saved = guest.save(with_frames([frame(1, image)]) | {"userId": guest_id}).json["sessionId"]
    with database.transaction():
        database.execute("set local session_replication_role = replica")  # updated_at is kept by a trigger
        database.execute(
            "update public.video_sessions set updated_at = now() - make_interval(days => %s) where session_id = %s",
            (days, saved),
        )
    return str(saved)


def sessions(database: Database, *ids: str) -> set[str]:
    found = database.execute("select session_id from public.video_sessions where session_id = any (%s)", (list(ids),))
    return {one for (one,) in found.fetchall()}


def test_what_guests_left_goes_after_the_days_that_are_set(
    guest: Client, alice: User, database: Database, function_environment: pytest.MonkeyPatch
) -> None:
    function_environment.setenv("GUEST_RETENTION_DAYS", "7")
    settings.cache_clear()
    left, fresh = guest_session(guest, database, 8), guest_session(guest, database, 6)
    own = alice.save(with_frames([frame(1, image_url(alice.subject))])).json["sessionId"]
    with database.transaction():
        database.execute("set local session_replication_role = replica")
        database.execute(
            "update public.video_sessions set updated_at = now() - interval '1 year' where session_id = %s", (own,)
        )
    files = database.execute("select image_path from public.video_frames where session_id = %s", (left,)).fetchall()
    assert run(dryRun=True)["guests"]["sessions"] == 1
    assert run()["guests"] == {"sessions": 1, "uploads": 0, "files": 2}
    assert sessions(database, left, fresh, own) == {fresh, own}
    assert database.execute("select from storage.objects where name = %s", files[0]).fetchall() == []


def test_links_and_keys_that_have_ended_go(alice: User, database: Database) -> None:
    own = alice.save(with_frames([frame(1, image_url(alice.subject))])).json["sessionId"]
    for number, ended in enumerate(("31 days", "29 days")):
        database.execute(
            "insert into public.share_links (session_id, token_hash, created_by, expires_at)"
            " values (%s, %s, %s, now() - %s::interval)",
            (own, uuid.uuid4().hex * 2, alice.subject, ended),
        )
        database.execute(
            "insert into public.idempotency_keys (user_id, key, request_hash, created_at)"
            " values (%s, %s, 'h', now() - %s::interval)",
            (alice.subject, f"key-{number}", ("25 hours", "23 hours")[number]),
        )
    assert run(dryRun=True)["ended"] == run()["ended"]
    links = database.execute("select count(*) from public.share_links where session_id = %s", (own,)).fetchone()
    kept = database.execute("select key from public.idempotency_keys where user_id = %s", (alice.subject,)).fetchall()
    assert (links, kept) == ((1,), [("key-1",)])


def stuck_video(alice: User, database: Database, status: str, since: str) -> int:
    own = alice.save(with_frames([frame(1, image_url(alice.subject))])).json["sessionId"]
    found = database.execute(
        "insert into public.final_videos (session_id, status, leased_until) values"
        " (%s, %s, case when %s = 'merging' then now() - %s::interval end) returning id",
        (own, status, status, since),
    ).fetchone()
    assert found
    database.execute(
        "insert into public.video_clips (session_id, final_video_id, clip_number, frame_number, start_seconds,"
        " duration_seconds, status, attempts, leased_until)"
        " values (%s, %s, 1, 1, 0, 5, %s, 1, now() - %s::interval)",
        (own, found[0], "rendering" if status == "rendering" else "completed", since),
    )
    return int(found[0])


@pytest.mark.parametrize("status", ["rendering", "merging"])
def test_what_is_stuck_fails_with_the_cause(
    alice: User, database: Database, queues: Queues, status: str, logged: Lines
) -> None:
    stuck, waiting = stuck_video(alice, database, status, "2 hours"), stuck_video(alice, database, status, "10 minutes")
    one = {"rendering": "clips", "merging": "merges"}[status]
    assert run(dryRun=True)["stuck"][one] == 1
    table = {"rendering": "video_clips", "merging": "final_videos"}[status]
    column = {"rendering": "final_video_id", "merging": "id"}[status]
    database.execute(f"update public.{table} set request_id = 'asked-for-it' where {column} = %s", (stuck,))
    assert run()["stuck"] == {"clips": 0, "merges": 0, "uploads": 0, one: 1}
    assert [(line["requestId"], line["code"]) for line in logged.named("work_lost")] == [
        ("asked-for-it", "worker_lost")
    ]
    rows = dict(
        database.execute("select id, error from public.final_videos where status = 'failed' and id in (%s, %s)",
                         (stuck, waiting)).fetchall()
    )  # fmt: skip
    assert rows.keys() == {stuck}
    assert rows[stuck]["code"] == "worker_lost" and rows[stuck]["detail"]
    assert ("frameNumber" in rows[stuck]) == (status == "rendering")
    assert run()["stuck"][one] == 0


def test_uploads_that_are_stuck_are_rejected(alice: User, database: Database) -> None:
    upload = ask(alice, file()).json["uploads"][0]["uploadId"]
    database.execute(
        "update public.uploads set status = 'processing', leased_until = now() - interval '2 hours' where id = %s",
        (upload,),
    )
    assert run()["stuck"]["uploads"] == 1
    assert state(alice, upload).json["code"] == "worker_lost"


def test_files_of_videos_that_are_gone_are_reported(alice: User, database: Database) -> None:
    own = alice.save(with_frames([frame(1, image_url(alice.subject))])).json["sessionId"]
    path = f"{alice.subject}/videos/gone.mp4"
    database.execute(
        "insert into public.final_videos (session_id, status, video_url) values (%s, 'completed', %s)", (own, path)
    )
    assert path in {one["path"] for one in run(dryRun=True)["missingVideoFiles"]}


def everything(database: Database) -> dict[str, str]:
    """Return a hash of each table's rows; sequences that only count are left out."""
    tables = database.execute(
        "select format('%I.%I', schemaname, tablename) from pg_tables"
        " where schemaname in ('public', 'private', 'storage', 'auth')"
    ).fetchall()
    found = {}
    for (table,) in tables:
        row = database.execute(
            f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {table} t"
        ).fetchone()
        assert row
        found[table] = row[0]
    return found


def at_rest(database: Database) -> dict[str, str]:
    """Return the same once nobody changes it: what verifies new files is told of them a moment later."""
    before: dict[str, str] = {}
    while (found := everything(database)) != before:
        before = found
        time.sleep(2)
    return before


def test_a_dry_run_changes_nothing_at_all(guest: Client, alice: User, database: Database, queues: Queues) -> None:
    alice.upload(png())
    age(database, alice)
    guest_session(guest, database, 60)
    stuck_video(alice, database, "rendering", "2 hours")
    database.execute(
        "insert into public.usage_events (user_id, kind, created_at) values ('u', 'batch', now() - interval '40 days')"
    )
    before = at_rest(database)
    report = run(dryRun=True)
    assert everything(database) == before
    assert report["guests"]["sessions"] == 1 and report["stuck"]["clips"] == 1 and report["usage"]["forgotten"] >= 1
    assert not queues.take("render")
    run()
    assert everything(database) != before


def test_the_report_of_each_run_is_kept(alice: User, database: Database) -> None:
    report = run()
    kept = database.execute(
        "select report, started_at <= finished_at from private.maintenance_runs where id = %s", (report.pop("run"),)
    ).fetchone()
    assert kept == (report, True)


def test_two_runs_at_once_do_everything_once(guest: Client, alice: User, database: Database, queues: Queues) -> None:
    left = [guest_session(guest, database, 60) for _ in range(4)]
    stuck = [stuck_video(alice, database, status, "2 hours") for status in ("rendering", "merging")]
    alice.upload(png())
    age(database, alice)
    reports = in_parallel(lambda _: run(), 3, at_once=3)
    assert not [step for one in reports for step in one.values() if isinstance(step, dict) and "failed" in step]
    assert sum(one["guests"]["sessions"] for one in reports) == len(left)
    assert sum(one["stuck"]["clips"] + one["stuck"]["merges"] for one in reports) == 2
    assert sessions(database, *left) == set()
    failed = database.execute(
        "select count(*) from public.final_videos where status = 'failed' and id = any (%s)", (stuck,)
    )
    assert failed.fetchone() == (2,)
    assert names(database, alice) == set()


def test_a_step_that_fails_is_named_and_the_others_are_done(
    alice: User, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise AppError("storage_unavailable")

    monkeypatch.setattr("functions.maintenance.handler.remove_orphans", failing)
    report = run()
    assert report["orphanedFiles"] == {"failed": "storage_unavailable"}
    assert report["usage"]["days"] >= 1 and "missingFiles" in report
