"""merge_clips: the clips of a video become one, with what goes with it, however often it is asked to."""

import io
import json
import os
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import av
import httpx
import psycopg
import pytest
from PIL import Image

from infra.local.stack import Stack
from shared.settings import settings
from tests.client import JsonObject
from tests.faults import FaultyUpstream
from tests.functions.test_render_clip import MEASURE, TOP
from tests.people import User
from tests.storyboards import frame, with_frames
from tests.videos import Job, Queues, dead, fetched, fill_disk, picture, record, remove, spoil, start, status_of, watch

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("temporary")


def rendered(
    user: User, queues: Queues, database: Database, session_id: str, **options: object
) -> tuple[Job, JsonObject]:
    """Return a video whose clips are all there, and the message for its merge."""
    job = Job(user, queues, database, session_id, **options)
    for message in job.messages:
        assert queues.deliver("render", message)
    [message] = queues.take("merge")
    return job, message


def files(database: Database, user: User) -> set[str]:
    query = "select name from storage.objects where name like %s"
    return {name for (name,) in database.execute(query, (f"{user.subject}/videos/%",)).fetchall()}


def change(database: Database, job: Job, assignments: str) -> None:
    database.execute(f"update public.final_videos set {assignments} where video_id = %s".encode(), (job.video_id,))


def test_a_video_is_completed_with_poster_and_preview(
    alice: User, queues: Queues, database: Database, session: JsonObject
) -> None:
    job, message = rendered(alice, queues, database, session["sessionId"])
    assert queues.deliver("merge", message)
    video = job.shown["video"]
    assert (video["status"], video["progress"], video["etaSeconds"], video["error"]) == ("completed", 1, None, None)
    data = fetched(video["videoUrl"])
    assert (len(data), video["durationSeconds"]) == (video["bytes"], 2)
    shown = watch(data, frames=48, fps=24, size=(480, 480))
    for number, middle in ((1, 12), (2, 36)):
        assert shown.shows(middle, picture(number)) > 0.9
    assert shown.shows(23, picture(1)) > 0.9, "the cut comes with the frame, not around it"
    assert shown.shows(24, picture(2)) > 0.9
    poster = Image.open(io.BytesIO(fetched(video["posterUrl"])))
    assert (poster.format, poster.size) == ("JPEG", (480, 480))
    preview = Image.open(io.BytesIO(fetched(video["previewUrl"])))
    assert (preview.format, preview.is_animated) == ("WEBP", True)  # type: ignore[attr-defined]
    assert video["captionsUrl"] is None
    assert video["cost"] > job.row(1)["cost"] + job.row(2)["cost"]
    assert status_of(database, session["sessionId"]) == "completed"
    for url in (video["videoUrl"], video["posterUrl"], video["previewUrl"]):
        assert "immutable" in httpx.head(url).headers["cache-control"]


def test_a_repeated_message_changes_nothing(
    alice: User, queues: Queues, database: Database, session: JsonObject
) -> None:
    job, message = rendered(alice, queues, database, session["sessionId"])
    assert queues.deliver("merge", message)
    before, stored = job.shown, files(database, alice)
    assert queues.deliver("merge", message)
    assert queues.deliver("merge", record(json.loads(message["body"]), "merge"))
    assert queues.deliver("merge", dead(message))
    for one in job.messages:
        assert queues.deliver("render", one)
    assert queues.take("merge") == []
    assert (job.shown, files(database, alice)) == (before, stored)


def test_a_message_of_no_video_is_ignored(queues: Queues) -> None:
    assert queues.deliver("merge", record({"videoId": 2_000_000_000}, "merge"))


def test_a_merge_that_comes_too_early_is_left_to_the_last_clip(
    alice: User, queues: Queues, database: Database, session: JsonObject
) -> None:
    job = Job(alice, queues, database, session["sessionId"])
    assert queues.deliver("merge", record({"videoId": job.row(1)["final_video_id"]}, "merge"))
    assert job.shown["video"]["status"] == "queued"


def test_one_worker_merges_at_a_time_and_a_lost_one_is_followed_by_another(
    alice: User, queues: Queues, database: Database, session: JsonObject
) -> None:
    job, message = rendered(alice, queues, database, session["sessionId"])
    change(database, job, "attempts = 1, claimed_by = 'other', leased_until = now() + interval '1 minute'")
    assert not queues.deliver("merge", message)
    assert not queues.deliver("merge", dead(message))
    change(database, job, "leased_until = now() - interval '1 second'")
    assert queues.deliver("merge", message)
    assert job.shown["video"]["status"] == "completed"


def test_captions_go_beside_the_video(alice: User, queues: Queues, database: Database, session: JsonObject) -> None:
    job, message = rendered(alice, queues, database, session["sessionId"], captions="sidecar")
    assert queues.deliver("merge", message)
    url = job.shown["video"]["captionsUrl"]
    answer = httpx.get(url)
    assert answer.headers["content-type"].startswith("text/vtt")
    assert answer.text.startswith("WEBVTT")
    assert "00:00:00.000 --> 00:00:01.000\nFrame 1" in answer.text
    assert "00:00:01.000 --> 00:00:02.000\nFrame 2" in answer.text


def test_what_cannot_be_burned_goes_beside_the_video_alone(
    alice: User, queues: Queues, database: Database, session: JsonObject
) -> None:
    frames = [
        frame(number, one["imageUrl"], timestamp=f"{number - 1}s", description=text)
        for number, (one, text) in enumerate(zip(session["frames"], ["Ein Boot", "紙の船"], strict=True), start=1)
    ]
    alice.save(with_frames(frames, sessionId=session["sessionId"], videoDuration=2))
    job, message = rendered(alice, queues, database, session["sessionId"], captions="burned")
    assert queues.deliver("merge", message)
    video = job.shown["video"]
    text = fetched(video["captionsUrl"]).decode()
    assert "紙の船" in text and "Ein Boot" not in text
    shown = watch(fetched(video["videoUrl"]), frames=48, fps=24, size=(480, 480))
    assert shown.shows(36, picture(2)) > 0.9, "nothing is burned into it"
    assert shown.shows(12, picture(1)) < shown.shows(36, picture(2))
    assert video["warnings"]


def sound(seconds: float) -> bytes:
    """Return a WAV file: a saw of 220 Hz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22_050)
        file.writeframes(
            b"".join((n % 100 * 200 - 10_000).to_bytes(2, "little", signed=True) for n in range(int(seconds * 22_050)))
        )
    return out.getvalue()


def stored_audio(stack: Stack, user: User, database: Database, data: bytes) -> str:
    """Store an audio file as on_upload does, and return its upload's id."""
    path = f"{user.subject}/audio/{abs(hash(data))}.wav"
    service = {"Authorization": f"Bearer {stack.info['serviceKey']}", "content-type": "audio/wav"}
    url = f"{stack.info['supabaseUrl']}/storage/v1/object/videomaker/{path}"
    assert httpx.post(url, content=data, headers=service).status_code == 200
    found = database.execute(
        "insert into public.uploads (user_id, kind, content_type, bytes, status, result)"
        " values (%s, 'audio', 'audio/wav', 1, 'ready', jsonb_build_object('path', %s::text)) returning id",
        (user.subject, path),
    ).fetchone()
    assert found
    return str(found[0])


@pytest.mark.parametrize("seconds", [0.5, 7])
def test_a_soundtrack_is_looped_or_cut_to_the_videos_length(  # noqa: PLR0917
    stack: Stack, alice: User, queues: Queues, database: Database, session: JsonObject, seconds: float
) -> None:
    upload_id = stored_audio(stack, alice, database, sound(seconds))
    job, message = rendered(alice, queues, database, session["sessionId"], audioUploadId=upload_id)
    assert queues.deliver("merge", message)
    data = fetched(job.shown["video"]["videoUrl"])
    watch(data, frames=48, fps=24, size=(480, 480))
    with av.open(io.BytesIO(data), "r") as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert container.streams.audio[0].codec_context.name == "aac"
        played = sum(one.samples for one in container.decode(audio=0))
    assert abs(played / 48_000 - 2) < 0.05


def test_a_soundtrack_that_is_none_fails_the_video_with_the_reason(
    stack: Stack, alice: User, queues: Queues, database: Database, session: JsonObject
) -> None:
    upload_id = stored_audio(stack, alice, database, b"RIFF\0\0\0\0WAVEfmt " + bytes(500))
    job, message = rendered(alice, queues, database, session["sessionId"], audioUploadId=upload_id)
    assert queues.deliver("merge", message)
    video = job.shown["video"]
    assert (video["status"], video["error"]["code"]) == ("failed", "not_media")
    assert "soundtrack" in video["error"]["detail"]
    assert status_of(database, session["sessionId"]) == "failed"
    again = start(alice, session["sessionId"])
    assert (again.json["finishedClips"], again.json["status"]) == (2, "merging")


def test_a_clip_that_is_gone_is_named_and_a_retry_renders_it_again(
    alice: User, queues: Queues, database: Database, session: JsonObject
) -> None:
    job, message = rendered(alice, queues, database, session["sessionId"])
    remove(database, job.row(2)["video_path"])
    assert queues.deliver("merge", message)
    error = job.shown["video"]["error"]
    assert (error["code"], error["frameNumber"]) == ("clip_missing", 2)
    finish_by_retry(alice, queues, job, finished=1)


def test_a_clip_that_was_spoilt_is_named_and_a_retry_renders_it_again(
    alice: User, queues: Queues, database: Database, session: JsonObject, stack: Stack
) -> None:
    job, message = rendered(alice, queues, database, session["sessionId"])
    spoil(stack, job.row(1)["video_path"])
    assert queues.deliver("merge", message)
    error = job.shown["video"]["error"]
    assert (error["code"], error["frameNumber"]) == ("clip_damaged", 1)
    finish_by_retry(alice, queues, job, finished=1)


def finish_by_retry(user: User, queues: Queues, failed: Job, finished: int) -> None:
    answer = user.post("generate_video", {"retryVideoId": failed.video_id})
    assert (answer.status, answer.json["finishedClips"]) == (202, finished)
    queues.work()
    video = user.get("get_video", videoId=answer.json["videoId"]).json["video"]
    assert video["status"] == "completed", video["error"]
    watch(fetched(video["videoUrl"]), frames=48, fps=24, size=(480, 480))


def test_storage_that_fails_every_third_call_only_delays(
    alice: User, upstream: FaultyUpstream, queues: Queues, database: Database, session: JsonObject
) -> None:
    job, message = rendered(alice, queues, database, session["sessionId"])
    with upstream.failing("/storage/", "error_500", every=3):
        tries = [queues.deliver("merge", message) for _ in range(3)]
    assert job.shown["video"]["status"] == ("completed" if any(tries) else "merging")
    if not any(tries):
        assert queues.deliver("merge", dead(message))
        assert job.shown["video"]["error"]["code"] == "storage_unavailable"
        finish_by_retry(alice, queues, job, finished=2)


def test_three_failed_tries_fail_the_video_and_a_retry_finishes_it(
    alice: User, upstream: FaultyUpstream, queues: Queues, database: Database, session: JsonObject
) -> None:
    job, message = rendered(alice, queues, database, session["sessionId"])
    with upstream.failing(f"/storage/v1/object/videomaker/{alice.subject}/videos/", "cut_before"):
        assert [queues.deliver("merge", message) for _ in range(3)] == [False] * 3
        assert job.shown["video"]["status"] == "merging"
        assert queues.deliver("merge", dead(message))
    video = job.shown["video"]
    assert (video["status"], video["error"]["code"]) == ("failed", "storage_unavailable")
    finish_by_retry(alice, queues, job, finished=2)


def test_an_answer_of_the_database_that_was_lost_does_not_merge_twice(
    alice: User, upstream: FaultyUpstream, queues: Queues, database: Database, session: JsonObject
) -> None:
    job, message = rendered(alice, queues, database, session["sessionId"])
    with upstream.failing("/rest/v1/rpc/settle_merge", "refuse_after"):
        assert not queues.deliver("merge", message)
    stored = files(database, alice)
    assert queues.deliver("merge", message)
    assert files(database, alice) == stored
    assert job.shown["video"]["status"] == "completed"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_temporary_folder_fails_the_merge_with_the_reason(
    alice: User, queues: Queues, database: Database, session: JsonObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, message = rendered(alice, queues, database, session["sessionId"])
    with monkeypatch.context() as full:
        fill_disk(full)
        assert [queues.deliver("merge", message) for _ in range(3)] == [False] * 3
    assert queues.deliver("merge", dead(message))
    video = job.shown["video"]
    assert (video["status"], video["error"]["code"]) == ("failed", "worker_full")
    assert files(database, alice) == set()
    finish_by_retry(alice, queues, job, finished=2)


def test_a_video_that_is_canceled_while_it_is_merged_stays_canceled(
    alice: User, queues: Queues, database: Database, session: JsonObject
) -> None:
    job, message = rendered(alice, queues, database, session["sessionId"])
    assert alice.delete("get_video", videoId=job.video_id).status == 200
    assert queues.deliver("merge", message)
    video = job.shown["video"]
    assert (video["status"], video["videoUrl"]) == ("canceled", None)
    assert files(database, alice) == set()


def test_a_private_bucket_has_signed_addresses(  # noqa: PLR0917
    alice: User,
    bob: User,
    queues: Queues,
    database: Database,
    session: JsonObject,
    function_environment: pytest.MonkeyPatch,
) -> None:
    function_environment.setenv("BUCKET_ACCESS", "private")
    settings.cache_clear()
    database.execute("update storage.buckets set public = false where id = 'videomaker'")
    try:
        job, message = rendered(alice, queues, database, session["sessionId"])
        assert queues.deliver("merge", message)
        found = job.shown
        assert found["expiresAt"]
        assert "token=" in found["video"]["videoUrl"]
        watch(fetched(found["video"]["videoUrl"]), frames=48, fps=24, size=(480, 480))
        assert all("token=" in one["videoUrl"] for one in found["clips"])
        stored = database.execute(
            "select video_url, files from public.final_videos where video_id = %s", (job.video_id,)
        ).fetchone()
        assert stored and stored[0] in stored[1] and "token" not in stored[0]
    finally:
        database.execute("update storage.buckets set public = true where id = 'videomaker'")


def test_a_merge_needs_less_than_700_megabytes_at_1080p(
    alice: User, queues: Queues, database: Database, session: JsonObject, temporary: Path
) -> None:
    job, message = rendered(alice, queues, database, session["sessionId"], resolution=1080, aspect="16:9")
    code = MEASURE.replace("render_clip", "merge_clips")
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps({"Records": [message]})],
        cwd=TOP,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=True,
    )
    answer, peak = json.loads(run.stdout.splitlines()[-1])
    assert answer == {"batchItemFailures": []}, run.stdout
    watch(fetched(job.shown["video"]["videoUrl"]), frames=48, fps=24, size=(1920, 1080))
    assert peak < 700
