"""webhooks: each event gets into the outbox once."""

import json
from typing import Any

import psycopg
import pytest

from infra.local.stack import Stack
from tests.functions.test_create_upload import ask, file
from tests.people import User
from tests.webhooks import HOOK, act, endpoint, finish, finished_video, outbox, video

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("queue")  # nobody else delivers what is announced here


def test_an_event_is_in_the_outbox_when_its_transaction_commits_and_not_before(
    alice: User, database: Database, stack: Stack
) -> None:
    endpoint(alice)
    kept, undone = video(database, alice), video(database, alice)
    with psycopg.connect(stack.superuser_url) as transaction:
        finish(transaction, undone)
        assert len(outbox(transaction, alice)) == 1
        assert outbox(database, alice) == []
        transaction.rollback()
        finish(transaction, kept)
        assert outbox(database, alice) == []
        transaction.commit()
    assert [one["video_id"] for one in outbox(database, alice)] == [kept]


def test_each_endpoint_of_the_owner_that_asks_for_it_gets_an_event_once(
    alice: User, bob: User, database: Database
) -> None:
    every, _ = endpoint(alice)
    completed, _ = endpoint(alice, events=["video.completed"])
    endpoint(alice, events=["video.failed", "upload.rejected"])
    disabled, _ = endpoint(alice)
    act(alice, "update", endpointId=disabled, enabled=False)
    endpoint(bob)
    video_id = finished_video(database, alice)
    found = outbox(database, alice)
    assert {one["endpoint_id"] for one in found} == {every, completed}
    assert len({one["event_id"] for one in found}) == 1
    assert {(one["type"], one["video_id"], one["status"]) for one in found} == {
        ("video.completed", video_id, "pending")
    }
    assert outbox(database, bob) == []


def test_changes_that_are_no_events_are_not_announced(alice: User, database: Database) -> None:
    endpoint(alice)
    video_id = video(database, alice, status="queued")
    for status in ("rendering", "merging"):
        finish(database, video_id, status)
    finish(database, video_id, "merging", progress=0.9)
    assert outbox(database, alice) == []
    finish(database, video_id, "completed")
    finish(database, video_id, "completed", progress=1)
    assert len(outbox(database, alice)) == 1
    canceled = video(database, alice)
    finish(database, canceled, "canceled")
    assert len(outbox(database, alice)) == 1


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_video_that_has_ended_when_it_is_written_is_announced_too(
    alice: User, database: Database, status: str
) -> None:
    endpoint(alice)
    video(database, alice, status=status)
    assert [one["type"] for one in outbox(database, alice)] == [f"video.{status}"]


def test_an_event_tells_what_get_video_would(alice: User, database: Database) -> None:
    endpoint(alice)
    video_id = video(database, alice)
    finish(database, video_id, video_url="https://x/v.mp4", poster_url="https://x/p.webp", duration_seconds=5,
           width=1280, height=720, fps=30, bytes=1000, cost=0.01)  # fmt: skip
    [one] = outbox(database, alice)
    payload = one["payload"]
    assert payload["id"] == one["event_id"]
    assert payload["type"] == "video.completed"
    assert payload["timestamp"].endswith("Z")
    assert payload["data"] == {
        "videoId": video_id, "sessionId": payload["data"]["sessionId"], "status": "completed",
        "videoUrl": "https://x/v.mp4", "posterUrl": "https://x/p.webp", "previewUrl": None, "captionsUrl": None,
        "durationSeconds": 5, "width": 1280, "height": 720, "fps": 30, "bytes": 1000, "cost": 0.01,
    }  # fmt: skip


def test_a_failure_says_why(alice: User, database: Database) -> None:
    endpoint(alice)
    error = {"code": "rendering_failed", "detail": "In three tries.", "frameNumber": 3}
    finish(database, video(database, alice), "failed", error=json.dumps(error))
    finish(database, video(database, alice), "failed", error=json.dumps({"detail": "x" * 9000}))
    small, large = (one["payload"] for one in outbox(database, alice))
    assert (small["type"], small["data"]["error"]) == ("video.failed", error)
    assert large["data"]["error"] is None


def test_a_rejected_upload_is_announced_however_it_came(alice: User, database: Database) -> None:
    endpoint(alice, events=["upload.rejected"])
    upload_id = ask(alice, file()).json["uploads"][0]["uploadId"]
    database.execute(
        "update public.uploads set status = 'rejected', code = 'not_an_image', detail = 'd' where id = %s", (upload_id,)
    )
    for _ in range(2):
        database.execute(
            "select public.record_storage_upload(%s, 'a/frames/x.png@1', 1, 'image/png', 'rejected', null, 'c', 'd')",
            (alice.subject,),
        )
    announced, stored = (one["payload"]["data"] for one in outbox(database, alice))
    assert (announced["uploadId"], announced["code"], announced["kind"]) == (upload_id, "not_an_image", "frame")
    assert stored["code"] == "c"


def test_the_address_given_for_one_video_gets_its_event_once(alice: User, bob: User, database: Database) -> None:
    finished_video(database, alice, webhookUrl=HOOK)
    finished_video(database, bob, status="failed", webhookUrl=HOOK)
    for user, kind in ((alice, "video.completed"), (bob, "video.failed")):
        [one] = outbox(database, user)
        assert (one["url"], one["endpoint_id"], one["type"]) == (HOOK, None, kind)
        count = database.execute(
            "select count(*) from private.webhook_secrets where user_id = %s and endpoint_id is null", (user.subject,)
        )
        assert count.fetchone() == (1,)


@pytest.mark.parametrize(
    "url", ["ftp://x.example/", "https://x.example/ y", "https://" + "x" * 3000, 7, None, {"a": 1}]
)
def test_an_address_that_cannot_be_one_does_not_keep_a_video_from_finishing(
    alice: User, database: Database, url: object
) -> None:
    video_id = finished_video(database, alice, webhookUrl=url)
    assert outbox(database, alice) == []
    found = database.execute("select status from public.final_videos where video_id = %s", (video_id,)).fetchone()
    assert found == ("completed",)


def test_an_event_that_is_announced_again_changes_nothing(alice: User, database: Database) -> None:
    endpoint(alice)
    finished_video(database, alice, webhookUrl=HOOK)
    before = outbox(database, alice)
    assert len(before) == 2
    announce = "select private.announce_event(%s, 'video.completed', %s, '{}', %s, %s)"
    database.execute(announce, (alice.subject, before[0]["video_id"], before[0]["video_id"], HOOK))
    assert outbox(database, alice) == before
