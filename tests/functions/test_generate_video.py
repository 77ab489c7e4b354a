"""generate_video: a plan, written down before anything is sent; and what it refuses."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from functions.merge_clips.handler import handler as merge_clips
from functions.render_clip.handler import handler as render_clip
from infra.local.stack import Stack
from shared.pricing import MERGE_MEMORY_MB, PARALLEL_RENDERERS, RENDER_MEMORY_MB
from shared.renderings import planned_video
from shared.settings import settings
from tests.client import Client, JsonObject, run_handler
from tests.faults import FaultyUpstream
from tests.people import User
from tests.shared.image_files import encoded
from tests.storyboards import frame, image_url, storyboard, with_frames
from tests.test_configuration import serverless
from tests.videos import SMALL, Queues, picture, start, status_of, stored_storyboard, video_of

Database = psycopg.Connection[Any]
EVENTS = Path(__file__).parents[1] / "events"


@pytest.fixture
def session(alice: User) -> JsonObject:
    return stored_storyboard(alice, 3, 6)


def rows(database: Database, session_id: str) -> list[JsonObject]:
    query = "select to_jsonb(c) from public.video_clips c where session_id = %s order by final_video_id, clip_number"
    return [row for (row,) in database.execute(query, (session_id,)).fetchall()]


def test_a_video_is_written_down_and_each_of_its_clips_sent(
    alice: User, queues: Queues, session: JsonObject, database: Database
) -> None:
    answer = start(alice, session["sessionId"], fps=30, transition="crossfade", transitionSeconds=0.5)
    assert answer.status == 202, answer.body
    found = answer.json
    assert (found["status"], found["clipCount"], found["finishedClips"], found["frameCount"]) == ("queued", 3, 0, 180)
    assert found["estimatedCost"] > 0
    assert found["estimatedSeconds"] > 0
    clips = rows(database, session["sessionId"])
    assert [(one["frame_number"], one["status"], one["duration_seconds"]) for one in clips] == [
        (1, "queued", 2),
        (2, "queued", 2),
        (3, "queued", 2),
    ]
    sent = queues.take("render")
    assert sorted(json.loads(one["body"])["clipId"] for one in sent) == [one["id"] for one in clips]
    assert status_of(database, session["sessionId"]) == "generating"
    shown = video_of(alice, found["videoId"])["video"]
    assert (shown["status"], shown["progress"], shown["width"], shown["height"]) == ("queued", 0, 480, 480)
    assert shown["etaSeconds"] > 0


def test_workers_log_under_the_id_of_the_clients_request(alice: User, queues: Queues, session: JsonObject) -> None:
    answer = alice.post(
        "generate_video", {**SMALL, "sessionId": session["sessionId"]}, X_Request_Id="the-clients-own-id"
    )
    assert answer.status == 202
    sent = queues.take("render")
    assert {one["messageAttributes"]["requestId"]["stringValue"] for one in sent} == {"the-clients-own-id"}


def test_a_dry_run_answers_plan_time_and_cost_and_writes_nothing(
    alice: User, queues: Queues, session: JsonObject, database: Database
) -> None:
    answer = start(alice, session["sessionId"], dryRun=True, transition="crossfade")
    assert answer.status == 200
    found = answer.json
    assert found["dryRun"] is True
    assert [(one["clipNumber"], one["startSeconds"], one["finished"]) for one in found["clips"]] == [
        (1, 0, False),
        (2, 2, False),
        (3, 4, False),
    ]
    assert [one["transition"] for one in found["clips"]] == ["cut", "crossfade", "crossfade"]
    assert found["estimatedCost"] > 0
    assert rows(database, session["sessionId"]) == []
    assert queues.take("render") == []
    assert status_of(database, session["sessionId"]) == "frames_generated"


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"aspect": "2:1"}, "aspect"),
        ({"resolution": 2160}, "resolution"),
        ({"fps": 0}, "fps"),
        ({"motion": "spin"}, "motion"),
        ({"transition": "wipe"}, "transition"),
        ({"transitionSeconds": -1}, "transitionSeconds"),
        ({"transitionSeconds": 1e9}, "transitionSeconds"),
        ({"captions": "loud"}, "captions"),
        ({"audioUploadId": "a.mp3"}, "audioUploadId"),
        ({"webhookUrl": "ftp://example.com/hook"}, "webhookUrl"),
        ({"sessionId": None}, "body"),
        ({"retryVideoId": str(uuid.uuid4())}, "body"),
    ],
)
def test_an_option_that_is_none_is_named(alice: User, queues: Queues, wrong: JsonObject, path: str) -> None:
    answer = alice.post("generate_video", {"sessionId": "x", **wrong})
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert [one["path"] for one in answer.json["errors"]] == [path]


def test_a_foreign_session_is_not_found(alice: User, bob: User, guest: Client, session: JsonObject) -> None:
    for stranger in (bob, guest):
        answer = stranger.post("generate_video", {"sessionId": session["sessionId"]})
        assert (answer.status, answer.code) == (404, "session_not_found")
    assert start(alice, "no-such-session").code == "session_not_found"


def test_a_session_without_frames_is_refused(alice: User, session: JsonObject, database: Database) -> None:
    database.execute("delete from public.video_frames where session_id = %s", (session["sessionId"],))
    answer = start(alice, session["sessionId"])
    assert (answer.status, answer.code) == (422, "no_frames")


def test_a_frame_whose_image_is_gone_is_named(
    alice: User, queues: Queues, session: JsonObject, database: Database
) -> None:
    saved = alice.save(
        with_frames(
            [
                frame(1, session["frames"][0]["imageUrl"]),
                frame(2, image_url(alice.subject, 2)),
                frame(3, image_url(alice.subject, 3)),
            ],
            sessionId=session["sessionId"],
        )
    )
    assert saved.status == 200
    for dry_run in (True, False):
        answer = start(alice, session["sessionId"], dryRun=dry_run)
        assert (answer.status, answer.code) == (422, "frame_image_missing")
        assert (answer.json["frameNumber"], answer.json["frameNumbers"]) == (2, [2, 3])
    assert rows(database, session["sessionId"]) == []
    assert status_of(database, session["sessionId"]) == "frames_generated"
    assert queues.take("render") == []


@pytest.mark.parametrize(
    ("timestamps", "starts"),
    [
        (["0s", "0s", "0s"], [0, 2, 4]),
        (["0-0s", "soon", ""], [0, 2, 4]),
        (["5s", "3s", "1s"], [0, 2, 4]),
        (["0s", "1s", "99999s"], [0, 2, 4]),
        (["0:00", "00:00:01.0", "5-6s"], [0, 1, 5]),
    ],
)
def test_absurd_timestamps_become_an_even_split(
    alice: User, session: JsonObject, timestamps: list[str], starts: list[float]
) -> None:
    frames = [
        frame(number, one["imageUrl"], timestamp=text or " ")
        for number, (one, text) in enumerate(zip(session["frames"], timestamps, strict=True), start=1)
    ]
    saved = alice.save(with_frames(frames, sessionId=session["sessionId"], videoDuration=6))
    assert saved.status == 200, saved.body
    clips = start(alice, session["sessionId"], dryRun=True).json["clips"]
    assert [one["startSeconds"] for one in clips] == starts
    assert sum(one["durationSeconds"] for one in clips) == 6


def test_more_frames_than_output_frames_are_refused(alice: User, database: Database) -> None:
    saved = alice.save(storyboard(alice.subject, 30, videoDuration=1)).json
    answer = start(alice, saved["sessionId"], fps=24)
    assert (answer.status, answer.code) == (422, "video_too_short")


def test_a_clip_that_no_worker_could_finish_is_refused(alice: User) -> None:
    saved = alice.save(with_frames([frame(1, image_url(alice.subject))], videoDuration=3600)).json
    answer = start(alice, saved["sessionId"], resolution=1080, aspect="16:9", fps=60)
    assert (answer.status, answer.code, answer.json["frameNumber"]) == (422, "clip_too_long", 1)


def test_a_thousand_frames_become_a_thousand_messages(alice: User, queues: Queues, database: Database) -> None:
    [first] = stored_storyboard(alice, 1, 1)["frames"]
    frames = [frame(number, first["imageUrl"], timestamp="0s") for number in range(1, 1001)]
    saved = alice.save(with_frames(frames, videoDuration=3600)).json
    answer = start(alice, saved["sessionId"])
    assert answer.status == 202, answer.body
    assert answer.json["clipCount"] == 1000
    assert len(rows(database, saved["sessionId"])) == 1000
    waiting = queues.sqs.get_queue_attributes(QueueUrl=queues.urls["render"], AttributeNames=["All"])
    assert waiting["Attributes"]["ApproximateNumberOfMessages"] == "1000"


AUDIO = (
    "insert into public.uploads (user_id, kind, content_type, bytes, status, result)"
    " values (%s, %s, 'x/y', 1, %s, %s) returning id"
)


@pytest.mark.parametrize(
    ("owner", "kind", "status", "expected"),
    [
        ("alice", "audio", "ready", (200, None)),
        ("alice", "audio", "waiting", (422, "upload_not_usable")),
        ("alice", "audio", "rejected", (422, "upload_not_usable")),
        ("alice", "clip", "ready", (422, "upload_not_usable")),
        ("bob", "audio", "ready", (404, "upload_not_found")),
    ],
)
def test_the_soundtrack_is_a_ready_upload_of_the_callers(  # noqa: PLR0917
    alice: User, bob: User, session: JsonObject, database: Database, owner: str, kind: str, status: str, expected: Any
) -> None:
    subject = {"alice": alice, "bob": bob}[owner].subject
    result = json.dumps({"path": f"{subject}/audio/x.mp3"}) if status == "ready" else None
    found = database.execute(AUDIO, (subject, kind, status, result)).fetchone()
    assert found
    answer = start(alice, session["sessionId"], dryRun=True, audioUploadId=str(found[0]))
    assert (answer.status, answer.code) == expected
    assert start(alice, session["sessionId"], audioUploadId=str(uuid.uuid4())).code == "upload_not_found"


def test_the_same_key_starts_one_video(alice: User, queues: Queues, session: JsonObject, database: Database) -> None:
    body = {**SMALL, "sessionId": session["sessionId"]}
    first, again = (alice.post("generate_video", body, Idempotency_Key="k-1") for _ in range(2))
    assert (first.status, again.status) == (202, 202)
    assert first.json == again.json
    clips = [one["id"] for one in rows(database, session["sessionId"])]
    assert len(clips) == 3
    sent = [json.loads(one["body"])["clipId"] for one in queues.take("render")]
    assert sorted(sent) == sorted(clips * 2), "the first answer may have been lost with its messages"
    other = alice.post("generate_video", body | {"fps": 60}, Idempotency_Key="k-1")
    assert (other.status, other.code) == (409, "idempotency_key_reused")


def test_a_video_whose_messages_cannot_be_sent_is_started_all_the_same(
    alice: User, session: JsonObject, function_environment: pytest.MonkeyPatch, database: Database
) -> None:
    function_environment.setenv("RENDER_QUEUE_URL", "http://127.0.0.1:1/123456789012/nowhere")
    settings.cache_clear()
    answer = start(alice, session["sessionId"])
    assert answer.status == 202
    assert [one["status"] for one in rows(database, session["sessionId"])] == ["queued"] * 3


def test_nothing_is_sent_of_what_was_not_committed(
    alice: User, queues: Queues, session: JsonObject, upstream: FaultyUpstream
) -> None:
    with upstream.failing("/rest/v1/rpc/start_video", "error_500"):
        answer = start(alice, session["sessionId"])
    assert (answer.status, answer.code) == (503, "database_unavailable")
    assert queues.take("render") == []


@pytest.fixture
def saves(function_environment: pytest.MonkeyPatch, session: JsonObject, database: Database) -> Iterator[list[str]]:
    """Statements that somebody executes, one each time, between the reading of the frames and the start."""
    waiting: list[str] = []

    def plan_while_somebody_saves(*given: Any) -> Any:
        if waiting:
            database.execute(waiting.pop().encode(), (session["sessionId"],))
        return planned_video(*given)

    function_environment.setattr("functions.generate_video.handler.planned_video", plan_while_somebody_saves)
    yield waiting


SAVE = "update public.video_sessions set version = version + 1 where session_id = %s"
REMOVE = (
    "with gone as (delete from public.video_frames where session_id = %s and frame_number = 3 returning session_id)"
    " update public.video_sessions s set version = version + 1 from gone where s.session_id = gone.session_id"
)


def test_a_session_that_is_saved_meanwhile_is_planned_anew(
    alice: User, queues: Queues, session: JsonObject, saves: list[str]
) -> None:
    saves += [SAVE, REMOVE]
    answer = start(alice, session["sessionId"])
    assert (answer.status, answer.json["clipCount"]) == (202, 2)


def test_a_session_that_never_rests_is_told_so(alice: User, session: JsonObject, saves: list[str]) -> None:
    saves += [SAVE] * 9
    answer = start(alice, session["sessionId"])
    assert (answer.status, answer.code) == (412, "version_conflict")


def test_captions_of_a_script_that_cannot_be_burned_go_beside_the_video_with_a_warning(
    alice: User, queues: Queues, session: JsonObject, database: Database
) -> None:
    texts = ["Ein Boot", "Лодка, βάρκα", "紙の船"]
    frames = [
        frame(number, one["imageUrl"], description=text)
        for number, (one, text) in enumerate(zip(session["frames"], texts, strict=True), start=1)
    ]
    alice.save(with_frames(frames, sessionId=session["sessionId"]))
    answer = start(alice, session["sessionId"], captions="burned")
    [warning] = answer.json["warnings"]
    assert "3" in warning and "1" not in warning
    assert ["caption" in one["spec"] for one in rows(database, session["sessionId"])] == [True, True, False]
    assert video_of(alice, answer.json["videoId"])["video"]["warnings"] == [warning]


def test_only_a_video_that_ended_badly_is_tried_again(
    alice: User, bob: User, queues: Queues, session: JsonObject
) -> None:
    running = start(alice, session["sessionId"], fps=25).json["videoId"]
    assert alice.post("generate_video", {"retryVideoId": running}).code == "video_not_failed"
    assert bob.post("generate_video", {"retryVideoId": running}).code == "video_not_found"
    invoked = alice.delete("get_video", videoId=running)
    assert invoked.status == 200
    again = alice.post("generate_video", {"retryVideoId": running})
    assert (again.status, again.json["fps"], again.json["sessionId"]) == (202, 25, session["sessionId"])
    assert again.json["videoId"] != running


def test_the_estimate_counts_the_workers_that_are_deployed() -> None:
    functions = serverless()["functions"]
    assert functions["render_clip"]["memorySize"] == RENDER_MEMORY_MB
    assert functions["merge_clips"]["memorySize"] == MERGE_MEMORY_MB
    assert functions["render_clip"]["events"][0]["sqs"]["maximumConcurrency"] == PARALLEL_RENDERERS


def test_a_guest_makes_videos_too(guest: Client, queues: Queues) -> None:
    url = guest.upload(encoded(picture(1), "WEBP")).json["imageUrl"]
    saved = guest.save(with_frames([frame(1, url)])).json
    body = {**SMALL, "sessionId": saved["sessionId"]}
    assert guest.post("generate_video", body).code == "session_not_found"
    answer = guest.post("generate_video", body | {"userId": saved["userId"]})
    assert (answer.status, answer.json["userId"]) == (202, saved["userId"])
    asked = guest.get("get_video", videoId=answer.json["videoId"], userId=saved["userId"])
    assert asked.json["video"]["status"] == "queued"
    assert guest.get("get_video", videoId=answer.json["videoId"]).code == "video_not_found"


def test_a_direct_call_of_the_database_cannot_choose_what_is_read(
    stack: Stack, alice: User, bob: User, session: JsonObject, database: Database
) -> None:
    secret = {"image": f"{bob.subject}/frames/secret.webp", "version": "1"}
    clip = {
        "clip_number": 1,
        "frame_number": 1,
        "previous_frame": 2,
        "start_seconds": 0,
        "duration_seconds": 6,
        "recipe": {"source": secret, "previousSource": secret},
    }
    video = {"options": {}, "width": 480, "height": 480, "fps": 24, "duration_seconds": 6}
    given = {"p_session_id": session["sessionId"], "p_version": 1, "p_video": video, "p_clips": [clip]}
    headers = {"apikey": stack.info["anonKey"], "Authorization": f"Bearer {alice.token}"}
    url = f"{stack.info['supabaseUrl']}/rest/v1/rpc/start_video"
    answer = httpx.post(url, json=given, headers=headers)
    assert answer.status_code == 200, answer.text
    [row] = rows(database, session["sessionId"])
    assert bob.subject not in json.dumps(row)
    assert row["spec"]["source"]["image"].startswith(f"{alice.subject}/frames/frame_1_")
    huge = {**given, "p_video": {**video, "width": 100_000}}
    assert httpx.post(url, json=huge, headers=headers).status_code == 400
    stranger = {**headers, "Authorization": f"Bearer {bob.token}"}
    assert httpx.post(url, json=given, headers=stranger).status_code == 404


@pytest.mark.parametrize("name", ["render_clip_sqs", "render_clip_dead_letter", "merge_clips_sqs"])
def test_the_sample_messages_are_understood(guest: Client, name: str) -> None:
    event = json.loads((EVENTS / f"{name}.json").read_text())
    [message] = event["Records"]
    message["body"] = message["body"].replace("1", "2000000000")  # one that nobody has
    handler = render_clip if name.startswith("render") else merge_clips
    assert run_handler(handler, event) == {"batchItemFailures": []}
