"""maintenance: what nobody needs any more goes, and nothing else."""

import uuid
from typing import Any

import psycopg
import pytest

from functions.maintenance.handler import handler
from tests.client import Client, Context, run_handler
from tests.functions.test_create_upload import ask, file, state
from tests.people import User
from tests.storyboards import frame, image_url, png, with_frames

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
