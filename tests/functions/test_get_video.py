"""get_video: how far a video is, for its people only; and canceling one."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from functions.maintenance.handler import handler as maintain
from infra.local.stack import Stack
from shared.settings import settings
from tests.client import Client, Context, JsonObject, run_handler
from tests.people import User
from tests.storyboards import frame, with_frames
from tests.videos import Job, Queues, start, status_of, stored_storyboard, video_of

Database = psycopg.Connection[Any]


@pytest.fixture
def session(alice: User) -> JsonObject:
    return stored_storyboard(alice, 3, 3)


def test_all_of_the_contract_is_answered(alice: User, job: Job, session: JsonObject) -> None:
    found = job.shown
    assert found["success"] is True
    assert found["video"].keys() >= {
        "videoId", "sessionId", "status", "progress", "etaSeconds", "videoUrl", "posterUrl", "previewUrl",
        "captionsUrl", "durationSeconds", "width", "height", "fps", "bytes", "estimatedCost", "cost", "error",
    }  # fmt: skip
    assert found["video"]["sessionId"] == session["sessionId"]
    for clip in found["clips"]:
        assert clip.keys() >= {
            "clipNumber", "frameNumber", "status", "startSeconds", "durationSeconds", "videoUrl", "attempts", "error",
        }  # fmt: skip
    assert [clip["startSeconds"] for clip in found["clips"]] == [0, 1, 2]


def test_a_foreign_video_is_not_found(alice: User, bob: User, guest: Client, job: Job) -> None:
    for stranger, asked in ((bob, job.video_id), (guest, job.video_id), (alice, str(uuid.uuid4()))):
        for ask in (stranger.get, stranger.delete):
            answer = ask("get_video", videoId=asked)
            assert (answer.status, answer.code) == (404, "video_not_found")
    assert job.shown["video"]["status"] == "queued"


@pytest.mark.parametrize("query", [{}, {"videoId": "x"}, {"videoId": ""}, {"videoId": "1' or true"}])
def test_what_is_no_id_is_refused(alice: User, query: dict[str, str]) -> None:
    more: dict[str, Any] = dict(query)
    for ask in (alice.get, alice.delete):
        answer = ask("get_video", **more)
        assert (answer.status, answer.code) == (422, "validation_failed")


def test_an_unchanged_video_is_not_sent_again(alice: User, queues: Queues, job: Job) -> None:
    assert queues.deliver("render", job.messages[0])
    assert alice.delete("get_video", videoId=job.video_id).status == 200
    first = alice.get("get_video", videoId=job.video_id)
    etag = first.headers["etag"]
    assert not etag.startswith("W/")
    again = alice.get("get_video", videoId=job.video_id, headers={"If-None-Match": etag})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    other = alice.get("get_video", videoId=job.video_id, headers={"If-None-Match": '"other"'})
    assert other.json == first.json


def test_every_change_changes_the_etag(alice: User, queues: Queues, job: Job) -> None:
    etags = [alice.get("get_video", videoId=job.video_id).headers["etag"]]
    for message in job.messages:
        assert queues.deliver("render", message)
        etags.append(alice.get("get_video", videoId=job.video_id).headers["etag"])
    assert len(set(etags)) == 4


def test_signed_addresses_are_renewed_before_they_expire(
    alice: User, queues: Queues, job: Job, function_environment: pytest.MonkeyPatch
) -> None:
    assert alice.delete("get_video", videoId=job.video_id).status == 200
    function_environment.setenv("BUCKET_ACCESS", "private")
    settings.cache_clear()
    etags = []
    for seconds in (0, 1799, 1801):
        function_environment.setattr("shared.media_urls.time.time", lambda seconds=seconds: 3600 * 10 + seconds)
        etags.append(alice.get("get_video", videoId=job.video_id).headers["etag"])
    assert etags[0] == etags[1] != etags[2]


def test_progress_only_rises(alice: User, queues: Queues, job: Job) -> None:
    seen = [job.shown["video"]["progress"]]
    assert queues.deliver("render", job.messages[0])
    job.change(2, "status = 'rendering', attempts = 1, claimed_by = 'lost', leased_until = now()")
    job.database.execute("select public.renew_clip(%s, 1, 0.8, 0)", (job.row(2)["id"],))
    seen.append(job.shown["video"]["progress"])
    job.database.execute("select public.claim_clip(%s, 'another', 60)", (job.row(2)["id"],))
    assert job.row(2)["progress"] == 0, "it is begun anew"
    seen.append(job.shown["video"]["progress"])
    job.change(2, "leased_until = now() - interval '1 second'")
    assert queues.deliver("render", job.messages[1])
    seen.append(job.shown["video"]["progress"])
    queues.work()
    for message in job.messages[2:]:
        assert queues.deliver("render", message)
    queues.work()
    seen.append(job.shown["video"]["progress"])
    assert seen == sorted(seen)
    assert seen == pytest.approx([0, 0.54, 0.54, 0.6, 1])


def test_the_time_that_is_left_is_told_by_the_estimate_and_then_by_the_pace(
    alice: User, job: Job, database: Database
) -> None:
    assert job.shown["video"]["etaSeconds"] > 0
    change = (
        "update public.final_videos set status = 'rendering', progress = %s,"
        " started_at = now() - %s * interval '1 second' where video_id = %s"
    )
    for elapsed, progress, expected in ((100, 0.5, 100), (300, 0.75, 100), (1, 0.999, 1)):
        database.execute(change, (progress, elapsed, job.video_id))
        assert job.shown["video"]["etaSeconds"] == pytest.approx(expected, abs=5)


def test_a_canceled_video_stops_what_has_not_started(
    alice: User, queues: Queues, job: Job, session: JsonObject, database: Database
) -> None:
    assert queues.deliver("render", job.messages[0])
    answer = alice.delete("get_video", videoId=job.video_id)
    assert answer.status == 200
    assert answer.json["video"]["status"] == "canceled"
    assert [clip["status"] for clip in answer.json["clips"]] == ["completed", "canceled", "canceled"]
    assert answer.json["video"]["etaSeconds"] is None
    assert status_of(database, session["sessionId"]) == "failed"
    again = alice.delete("get_video", videoId=job.video_id)
    assert (again.status, again.json) == (200, answer.json)


def test_what_is_finished_cannot_be_canceled(alice: User, queues: Queues, job: Job) -> None:
    for message in job.messages:
        queues.deliver("render", message)
    queues.work()
    answer = alice.delete("get_video", videoId=job.video_id)
    assert (answer.status, answer.code) == (409, "video_finished")
    assert job.shown["video"]["status"] == "completed"


def test_a_session_is_generating_until_its_last_video_ends(
    alice: User, queues: Queues, job: Job, session: JsonObject, database: Database
) -> None:
    other = Job(alice, queues, database, session["sessionId"], fps=25)
    assert alice.delete("get_video", videoId=other.video_id).status == 200
    assert status_of(database, session["sessionId"]) == "generating"
    for message in job.messages:
        queues.deliver("render", message)
    queues.work()
    assert status_of(database, session["sessionId"]) == "completed"
    third = Job(alice, queues, database, session["sessionId"], fps=30)
    assert status_of(database, session["sessionId"]) == "generating"
    assert alice.delete("get_video", videoId=third.video_id).status == 200
    assert status_of(database, session["sessionId"]) == "completed", "its first video is still there"


def test_of_many_who_finish_at_once_one_begins_the_merge(
    stack: Stack, alice: User, queues: Queues, database: Database
) -> None:
    [stored] = stored_storyboard(alice, 1, 1)["frames"]
    frames = [frame(number, stored["imageUrl"], timestamp=f"{number - 1}s") for number in range(1, 13)]
    saved = alice.save(with_frames(frames, videoDuration=12)).json
    video_id = start(alice, saved["sessionId"], motion="auto").json["videoId"]
    query = (
        "select c.id from public.video_clips c join public.final_videos v on v.id = c.final_video_id"
        " where v.video_id = %s"
    )
    clips = [clip for (clip,) in database.execute(query, (video_id,)).fetchall()]
    database.execute("update public.video_clips set content_hash = null where id = any(%s)", (clips,))
    for clip in clips:
        database.execute("select public.claim_clip(%s, 'w', 60)", (clip,))

    def finish(clip: int) -> bool:
        with psycopg.connect(stack.superuser_url, autocommit=True) as connection:
            settle = "select public.settle_clip(%s, 1, 'completed', '{\"video_url\": \"x/clips/y.mp4\"}') ->> 'merge'"
            found = connection.execute(settle, (clip,)).fetchone()
        return found == ("true",)

    with ThreadPoolExecutor(12) as workers:
        assert sum(workers.map(finish, clips)) == 1
    assert video_of(alice, video_id)["video"]["status"] == "merging"


def test_what_was_lost_is_named_once_to_be_sent_again(
    alice: User, queues: Queues, job: Job, database: Database
) -> None:
    def lost() -> set[tuple[str, int]]:
        found = database.execute("select kind, id from public.lost_renderings('5 minutes')").fetchall()
        mine = {("clip", job.row(number)["id"]) for number in (1, 2, 3)} | {("merge", job.row(1)["final_video_id"])}
        return {one for one in found if one in mine}

    def let_rest(minutes: int) -> None:
        database.execute("alter table public.final_videos disable trigger final_videos_touch")
        database.execute(
            "update public.final_videos set updated_at = now() - %s * interval '1 minute' where video_id = %s",
            (minutes, job.video_id),
        )
        database.execute("alter table public.final_videos enable trigger final_videos_touch")

    assert lost() == set()
    let_rest(6)
    assert lost() == {("clip", job.row(number)["id"]) for number in (1, 2, 3)}
    assert lost() == set()
    assert queues.deliver("render", job.messages[0])
    job.change(2, "status = 'rendering', attempts = 1, claimed_by = 'lost', leased_until = now() - interval '1 second'")
    assert lost() == {("clip", job.row(2)["id"])}
    for message in job.messages:
        assert queues.deliver("render", message)
    assert lost() == set()
    let_rest(6)
    assert lost() == {("merge", job.row(1)["final_video_id"])}


def test_the_sweep_sends_again_what_was_lost(alice: User, queues: Queues, job: Job, database: Database) -> None:
    job.change(2, "status = 'rendering', attempts = 1, claimed_by = 'lost', leased_until = now() - interval '1 second'")
    report = run_handler(maintain, {"only": "messages"}, Context(seconds=300))
    assert report["lostRenderings"] >= 1
    sent = [json.loads(one["body"])["clipId"] for one in queues.take("render")]
    assert sent.count(job.row(2)["id"]) == 1
    assert job.row(1)["id"] not in sent
