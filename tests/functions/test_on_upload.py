"""on_upload: what arrives in the ingest bucket is verified and stored, whatever was declared, however it is told."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import boto3
import httpx
import psycopg
import pytest

from functions.on_upload.handler import handler
from infra.local.stack import Stack
from shared import ingest_bucket
from shared.settings import settings
from tests.client import run_handler
from tests.functions.test_create_upload import ask, file, state
from tests.people import User
from tests.shared.image_files import encoded, noise
from tests.storyboards import png

Database = psycopg.Connection[Any]
EVENTS = Path(__file__).parents[1] / "events"
SAMPLE = "0b0e7c1e-6f0a-4b7e-8a56-0f0f5a3d9b11"
BUCKET = "direct-calls"  # without notifications, so that only these tests call the function


class Ingest:
    """The ingest bucket as S3 itself sees it."""

    def __init__(self, endpoint: str) -> None:
        self.s3 = boto3.client("s3", endpoint_url=endpoint)
        self.s3.create_bucket(Bucket=BUCKET)

    def put(self, upload_id: str, data: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=f"uploads/{upload_id}", Body=data)

    def holds(self, upload_id: str) -> bool:
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"uploads/{upload_id}")
        return listed["KeyCount"] > 0


@pytest.fixture
def ingest(stack: Stack, function_environment: pytest.MonkeyPatch) -> Iterator[Ingest]:
    function_environment.setenv("INGEST_BUCKET", BUCKET)
    settings.cache_clear()
    ingest_bucket._s3.cache_clear()
    yield Ingest(os.environ["AWS_ENDPOINT_URL"])
    ingest_bucket._s3.cache_clear()


def s3_event(*upload_ids: str) -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Post",
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": quote_plus(f"uploads/{one}"), "size": 1}},
            }
            for one in upload_ids
        ]
    }


def sqs_event(*bodies: object, queue: str = "videomaker-ingest") -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue}",
            }
            for number, body in enumerate(bodies)
        ]
    }


def eventbridge_event(upload_id: str) -> dict[str, Any]:
    detail = {"bucket": {"name": BUCKET}, "object": {"key": f"uploads/{upload_id}"}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def run(event: dict[str, Any]) -> Any:
    return run_handler(handler, event)


def announced(user: User, **more: object) -> str:
    return str(ask(user, file(bytes=1_000_000, **more)).json["uploads"][0]["uploadId"])


@pytest.mark.parametrize("wrap", [s3_event, lambda one: sqs_event(s3_event(one)), eventbridge_event])
def test_an_image_becomes_ready_with_what_an_upload_answers(
    alice: User, ingest: Ingest, wrap: Callable[[str], dict[str, Any]]
) -> None:
    upload_id = announced(alice, frameId=7)
    ingest.put(upload_id, png(640, 360))
    assert run(wrap(upload_id)) in (None, {"batchItemFailures": []})
    found = state(alice, upload_id).json
    uploaded = alice.upload(png(640, 360), 7).json
    assert found["status"] == "ready"
    for name in ("imageUrl", "thumbnailUrl", "width", "height", "bytes", "originalBytes", "sha256", "placeholder"):
        assert found[name] == uploaded[name], name
    assert (found["frameId"], found["userId"]) == (7, alice.subject)
    assert httpx.get(found["imageUrl"]).status_code == 200
    assert not ingest.holds(upload_id)


POISON = {
    "text": (b"I am no image", "not_an_image"),
    "script": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "unsupported_image_type"),
    "half": (encoded(noise(300, 300), "PNG")[:20_000], "image_truncated"),
}


@pytest.mark.parametrize("name", POISON)
def test_what_is_no_good_image_is_rejected_and_nothing_is_stored(
    alice: User, ingest: Ingest, database: Database, name: str
) -> None:
    data, code = POISON[name]
    upload_id = announced(alice)
    ingest.put(upload_id, data)
    run(s3_event(upload_id))
    found = state(alice, upload_id).json
    assert (found["status"], found["code"]) == ("rejected", code)
    assert found["detail"]
    assert not ingest.holds(upload_id)
    stored = database.execute("select 1 from storage.objects where name like %s", (f"{alice.subject}/%",)).fetchall()
    assert stored == []


def test_a_repeated_event_changes_nothing(alice: User, ingest: Ingest, database: Database) -> None:
    upload_id = announced(alice)
    ingest.put(upload_id, png())
    run(s3_event(upload_id, upload_id))
    before = database.execute("select * from public.uploads where id = %s", (upload_id,)).fetchone()
    run(s3_event(upload_id))
    run(sqs_event(s3_event(upload_id), s3_event(upload_id)))
    assert database.execute("select * from public.uploads where id = %s", (upload_id,)).fetchone() == before


def test_one_bad_record_does_not_fail_the_others(alice: User, ingest: Ingest) -> None:
    good, bad = announced(alice), announced(alice)
    ingest.put(good, png())
    ingest.put(bad, b"junk")
    batch = sqs_event(s3_event(bad), "no json", {"Event": "s3:TestEvent"}, s3_event(good))
    assert run(batch) == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert state(alice, good).json["status"] == "ready"
    assert state(alice, bad).json["status"] == "rejected"


def test_a_file_that_is_already_gone_is_rejected(alice: User, ingest: Ingest) -> None:
    upload_id = announced(alice)
    run(s3_event(upload_id))
    assert state(alice, upload_id).json["code"] == "upload_missing"


def test_events_of_other_objects_are_ignored(ingest: Ingest, alice: User) -> None:
    assert run(s3_event("not-an-id", str(uuid.uuid4()))) is None
    foreign = s3_event("x")
    foreign["Records"][0]["s3"]["object"]["key"] = quote_plus("other/../uploads/x y")
    assert run(foreign) is None


def test_another_file_than_was_announced_is_rejected(alice: User, ingest: Ingest) -> None:
    upload_id = announced(alice, sha256="0" * 64)
    ingest.put(upload_id, png())
    run(s3_event(upload_id))
    assert state(alice, upload_id).json["code"] == "sha256_mismatch"


def test_a_larger_file_than_was_announced_is_rejected(alice: User, ingest: Ingest) -> None:
    upload_id = str(ask(alice, file(bytes=100)).json["uploads"][0]["uploadId"])
    ingest.put(upload_id, png(640, 360))
    run(s3_event(upload_id))
    assert state(alice, upload_id).json["code"] == "image_too_large"


def test_an_outage_postpones_and_the_next_try_succeeds(alice: User, ingest: Ingest, database: Database) -> None:
    upload_id = announced(alice)
    ingest.put(upload_id, png())
    allowed = database.execute("select allowed_mime_types from storage.buckets where id = 'videomaker'").fetchone()
    assert allowed
    change = "update storage.buckets set allowed_mime_types = %s where id = 'videomaker'"
    database.execute(change, (["text/plain"],))
    try:
        assert run(sqs_event(s3_event(upload_id))) == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    finally:
        database.execute(change, allowed)
    assert ingest.holds(upload_id)
    assert state(alice, upload_id).json["status"] == "waiting"
    run(sqs_event(s3_event(upload_id)))
    assert state(alice, upload_id).json["status"] == "ready"


def test_a_worker_that_was_lost_is_followed_by_another(alice: User, ingest: Ingest, database: Database) -> None:
    upload_id = announced(alice)
    ingest.put(upload_id, png())
    database.execute(
        "update public.uploads set status = 'processing', attempts = 1, leased_until = now() + interval '1 minute'"
        " where id = %s",
        (upload_id,),
    )
    assert run(sqs_event(s3_event(upload_id)))["batchItemFailures"], "the other worker may still be at it"
    dead = sqs_event(s3_event(upload_id), queue="videomaker-ingest-dead")
    assert run(dead)["batchItemFailures"], "a repeat that gave up must not reject what another one may finish"
    database.execute("update public.uploads set leased_until = now() - interval '1 second' where id = %s", (upload_id,))
    assert run(sqs_event(s3_event(upload_id))) == {"batchItemFailures": []}
    assert state(alice, upload_id).json["status"] == "ready"


def test_a_worker_whose_claim_was_taken_over_changes_nothing(alice: User, database: Database) -> None:
    upload_id = announced(alice)
    database.execute("update public.uploads set status = 'processing', attempts = 2 where id = %s", (upload_id,))
    settled = database.execute("select public.settle_upload(%s, 1, 'ready')", (upload_id,)).fetchone()
    assert settled == (False,)


def test_a_message_that_comes_again_takes_its_own_claim_over_at_once(
    alice: User, ingest: Ingest, database: Database
) -> None:
    upload_id = announced(alice)
    ingest.put(upload_id, png())
    database.execute(
        "update public.uploads set status = 'processing', attempts = 1, claimed_by = 'm0',"
        " leased_until = now() + interval '1 minute' where id = %s",
        (upload_id,),
    )
    assert run(sqs_event(s3_event(upload_id))) == {"batchItemFailures": []}
    assert state(alice, upload_id).json["status"] == "ready"


def test_a_dead_letter_is_rejected_with_a_reason(alice: User, ingest: Ingest) -> None:
    upload_id = announced(alice)
    ingest.put(upload_id, png())
    assert run(sqs_event(s3_event(upload_id), queue="videomaker-ingest-dead")) == {"batchItemFailures": []}
    found = state(alice, upload_id).json
    assert (found["status"], found["code"]) == ("rejected", "processing_failed")
    assert not ingest.holds(upload_id)


@pytest.mark.parametrize("name", ["s3", "sqs", "eventbridge", "test_event"])
def test_real_payloads_of_each_source_are_understood(
    name: str, alice: User, ingest: Ingest, database: Database
) -> None:
    event = json.loads((EVENTS / f"on_upload_{name}.json").read_text())
    database.execute("delete from public.uploads where id = %s", (SAMPLE,))
    database.execute(
        "insert into public.uploads (id, user_id, kind, frame_id, content_type, bytes)"
        " values (%s, %s, 'frame', '1', 'image/png', 1000000)",
        (SAMPLE, alice.subject),
    )
    ingest.put(SAMPLE, png())
    assert run(event) in (None, {"batchItemFailures": []})
    assert state(alice, SAMPLE).json["status"] == ("waiting" if name == "test_event" else "ready")


MEDIA = [
    ("clip", "video/mp4", b"\0\0\0\x18ftypisom" + bytes(500), "video/mp4"),
    ("clip", "video/mp4", b"\x1a\x45\xdf\xa3" + bytes(500), "video/webm"),
    ("audio", "audio/mpeg", b"ID3\x04" + bytes(500), "audio/mpeg"),
    ("audio", "audio/wav", b"RIFF\0\0\0\0WAVEfmt " + bytes(500), "audio/wav"),
]


@pytest.mark.parametrize(("kind", "declared", "data", "found"), MEDIA)
def test_clips_and_audio_are_stored_by_their_real_type(  # noqa: PLR0917
    alice: User, ingest: Ingest, kind: str, declared: str, data: bytes, found: str
) -> None:
    upload_id = announced(alice, kind=kind, contentType=declared)
    ingest.put(upload_id, data)
    run(s3_event(upload_id))
    ready = state(alice, upload_id).json
    assert (ready["status"], ready["mimeType"], ready["bytes"]) == ("ready", found, len(data))
    served = httpx.get(ready["url"])
    assert (served.content, served.headers["content-type"]) == (data, found)
    assert not ingest.holds(upload_id)


@pytest.mark.parametrize("data", [png(), b"<html>", b"RIFF\0\0\0\0WEBPVP8 "])
def test_a_clip_that_is_none_is_rejected(alice: User, ingest: Ingest, data: bytes) -> None:
    upload_id = announced(alice, kind="clip", contentType="video/mp4")
    ingest.put(upload_id, data)
    run(s3_event(upload_id))
    assert state(alice, upload_id).json["code"] == "not_media"
