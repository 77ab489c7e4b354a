"""Whole videos through the stack, from the request to the MP4: queues, workers as processes, and their deaths."""

import time
from collections.abc import Callable
from typing import Any

import boto3
import httpx
import psycopg
import pytest

from infra.local.stack import Stack
from tests.client import JsonObject
from tests.functions.test_direct_uploads import kill_environments
from tests.infra.running import until
from tests.people import User
from tests.storyboards import frame, with_frames
from tests.videos import SMALL, fetched, picture, stored_storyboard, watch

Database = psycopg.Connection[Any]
SECONDS = 500  # for a hang, not a measure: other work may be going on
pytestmark = pytest.mark.timeout(2 * SECONDS)


def eventually(reached: Callable[[], bool]) -> None:
    until(reached, SECONDS)


class App:
    """A client of the stack over HTTP, as a browser is."""

    def __init__(self, stack: Stack, user: User) -> None:
        headers = {"Authorization": f"Bearer {user.token}"}
        self._api = httpx.Client(base_url=stack.info["apiUrl"], headers=headers, timeout=60)

    def start(self, session_id: str, **options: object) -> JsonObject:
        answer = self._api.post("/api/generate_video", json={**SMALL, "sessionId": session_id, **options})
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def retry(self, video_id: str) -> JsonObject:
        answer = self._api.post("/api/generate_video", json={"retryVideoId": video_id})
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def video(self, video_id: str) -> JsonObject:
        """Return what `get_video` says; asked again where whoever should answer was just killed."""
        answer = self._api.get("/api/get_video", params={"videoId": video_id})
        return self.video(video_id) if answer.status_code >= 500 else dict(answer.json())

    def wait(self, video_id: str) -> JsonObject:
        """Return the video once it has ended; its progress must never have fallen on the way."""
        seen = [0.0]

        def ended() -> bool:
            video = self.video(video_id)["video"]
            seen.append(video["progress"])
            return video["status"] in ("completed", "failed", "canceled")

        eventually(ended)
        assert seen == sorted(seen)
        return self.video(video_id)


@pytest.fixture
def app(stack: Stack, alice: User) -> App:
    return App(stack, alice)


def assert_whole(found: JsonObject, pictures: list[int], *, fps: int = 24) -> None:
    """Hold a completed video of one-second clips to these pictures, every frame of it."""
    assert found["video"]["status"] == "completed", found["video"]["error"]
    assert {clip["status"] for clip in found["clips"]} == {"completed"}
    data = fetched(found["video"]["videoUrl"])
    shown = watch(data, frames=len(pictures) * fps, fps=fps, size=(480, 480))
    for place, number in enumerate(pictures):
        expected = picture(number)
        for frame_place in (place * fps, place * fps + fps // 2, (place + 1) * fps - 1):
            assert shown.shows(frame_place, expected) > 0.85, (place, frame_place)


def test_a_video_from_the_request_to_the_mp4(app: App, alice: User) -> None:
    session = stored_storyboard(alice, 4, 4)
    found = app.wait(app.start(session["sessionId"])["videoId"])
    assert_whole(found, [1, 2, 3, 4])
    assert [clip["attempts"] for clip in found["clips"]] == [1, 1, 1, 1]
    assert found["video"]["cost"] > 0


def test_a_changed_frame_renders_two_clips_at_most(app: App, alice: User, database: Database) -> None:
    session = stored_storyboard(alice, 5, 5)
    options: JsonObject = {"transition": "crossfade", "transitionSeconds": 0.25, "motion": "auto"}
    app.wait(app.start(session["sessionId"], **options)["videoId"])
    urls = [one["imageUrl"] for one in session["frames"]]
    urls[2] = stored_storyboard(alice, 6, 6)["frames"][5]["imageUrl"]
    frames = [frame(number, url, timestamp=f"{number - 1}s") for number, url in enumerate(urls, start=1)]
    assert alice.save(with_frames(frames, sessionId=session["sessionId"], videoDuration=5)).status == 200
    started = app.start(session["sessionId"], **options)
    assert started["finishedClips"] == 3
    found = app.wait(started["videoId"])
    assert [clip["attempts"] for clip in found["clips"]] == [0, 0, 1, 1, 0]
    watch(fetched(found["video"]["videoUrl"]), frames=120, fps=24, size=(480, 480))
    same = app.start(session["sessionId"], **options)
    assert (same["finishedClips"], same["estimatedCost"] < started["estimatedCost"]) == (5, True)
    assert app.wait(same["videoId"])["video"]["status"] == "completed"


def doing(database: Database, video_id: str, *statuses: str) -> bool:
    query = "select from public.final_videos where video_id = %s and status = any(%s)"
    return database.execute(query, (video_id, list(statuses))).fetchone() is not None


def at_work(database: Database, video_id: str) -> bool:
    query = (
        "select from public.video_clips c join public.final_videos v on v.id = c.final_video_id"
        " where v.video_id = %s and c.status = 'rendering'"
    )
    return database.execute(query, (video_id,)).fetchone() is not None


def test_workers_that_are_killed_in_the_middle_lose_nothing(
    stack: Stack, app: App, alice: User, database: Database
) -> None:
    session = stored_storyboard(alice, 4, 4)
    video_id = app.start(session["sessionId"], resolution=480)["videoId"]
    for _ in range(2):
        eventually(lambda: at_work(database, video_id) or not doing(database, video_id, "queued", "rendering"))
        kill_environments(stack)
    eventually(lambda: doing(database, video_id, "merging", "completed", "failed"))
    kill_environments(stack)
    found = app.wait(video_id)
    assert_whole(found, [1, 2, 3, 4])


def test_a_merge_that_is_killed_in_the_middle_is_done_again(
    stack: Stack, app: App, alice: User, database: Database
) -> None:
    [stored] = stored_storyboard(alice, 1, 1)["frames"]
    frames = [frame(number, stored["imageUrl"], timestamp=f"{number - 1}s") for number in range(1, 41)]
    session = alice.save(with_frames(frames, videoDuration=40)).json
    video_id = app.start(session["sessionId"])["videoId"]

    def is_merging() -> bool:
        query = "select from public.final_videos where video_id = %s and status = 'merging' and claimed_by is not null"
        return database.execute(query, (video_id,)).fetchone() is not None

    eventually(is_merging)
    kill_environments(stack)
    found = app.wait(video_id)
    assert_whole(found, [1] * 40)
    attempts = database.execute("select attempts from public.final_videos where video_id = %s", (video_id,)).fetchone()
    assert attempts == (2,)


def test_every_message_twice_and_in_reverse(stack: Stack, app: App, alice: User, database: Database) -> None:
    session = stored_storyboard(alice, 5, 5)
    video_id = app.start(session["sessionId"])["videoId"]
    query = (
        "select c.id, v.id from public.video_clips c join public.final_videos v on v.id = c.final_video_id"
        " where v.video_id = %s order by c.clip_number desc"
    )
    rows = database.execute(query, (video_id,)).fetchall()
    sqs = boto3.client("sqs", endpoint_url=stack.info["awsEndpointUrl"])
    urls = {name: sqs.get_queue_url(QueueName=f"videomaker-{name}")["QueueUrl"] for name in ("render", "merge")}
    for clip, video in rows:
        sqs.send_message(QueueUrl=urls["render"], MessageBody=f'{{"clipId": {clip}}}')
        sqs.send_message(QueueUrl=urls["merge"], MessageBody=f'{{"videoId": {video}}}')
    found = app.wait(video_id)
    assert_whole(found, [1, 2, 3, 4, 5])
    eventually(lambda: not waiting(sqs, urls))
    assert app.video(video_id)["video"] == found["video"]
    stored = database.execute("select count(*) from storage.objects where name like %s", (f"{alice.subject}/clips/%",))
    assert stored.fetchone() == (5,)


def waiting(sqs: Any, urls: dict[str, str]) -> bool:
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    found = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] for url in urls.values()]
    return any(int(one[name]) for one in found for name in names)


def test_services_that_come_and_go_only_delay(stack: Stack, app: App, alice: User, database: Database) -> None:
    session = stored_storyboard(alice, 4, 4)
    video_id = app.start(session["sessionId"])["videoId"]
    eventually(lambda: at_work(database, video_id) or not doing(database, video_id, "queued", "rendering"))
    stack.stop_child("supabase")
    time.sleep(1)
    stack.start_child("supabase")
    found = app.wait(video_id)
    if found["video"]["status"] == "failed":
        assert found["video"]["error"]["code"] == "storage_unavailable"
        found = app.wait(app.retry(video_id)["videoId"])
    assert_whole(found, [1, 2, 3, 4])
