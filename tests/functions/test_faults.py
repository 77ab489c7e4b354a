"""What the functions stand on is down, slow, or breaks off: a clear 503 in time, and nothing half-saved."""

import base64
import json
import time

import httpx
import psycopg
import pytest

from infra.local.stack import Stack
from shared.settings import settings
from tests.client import Answer, Context, event, invoke
from tests.faults import Fault, FaultyUpstream
from tests.people import User
from tests.storyboards import frame, image_url, png, storyboard, with_frames

FAULTS: list[Fault] = ["error_500", "error_502_html", "hang", "trickle", "cut_before", "cut_in_body"]
SECONDS = 2.0  # the time limit of a function in these tests


def timed_invoke(user: User, function: str, body: str | None = None, **query: str) -> Answer:
    headers = {"Authorization": f"Bearer {user.token}"}
    given = event("POST" if body else "GET", headers=headers, body=body, query=query)
    context = Context(seconds=SECONDS)
    answer = invoke(function, given, context)
    assert context.get_remaining_time_in_millis() > 0, "Lambda would have ended the invocation"
    return answer


def assert_unavailable(answer: Answer, code: str) -> None:
    assert (answer.status, answer.code) == (503, code)
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json["requestId"] == answer.headers["x-request-id"]


def upload_body(width: int = 96) -> str:
    return json.dumps({"imageData": base64.b64encode(png(width)).decode(), "frameId": 1})


@pytest.mark.parametrize("fault", FAULTS)
def test_reading_answers_503_while_the_database_fails(alice: User, upstream: FaultyUpstream, fault: Fault) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    with upstream.failing("/rest/", fault):
        assert_unavailable(timed_invoke(alice, "get_frames", sessionId=given["sessionId"]), "database_unavailable")
    assert timed_invoke(alice, "get_frames", sessionId=given["sessionId"]).status == 200


@pytest.mark.parametrize("fault", FAULTS)
def test_saving_answers_503_while_the_database_fails(
    alice: User, upstream: FaultyUpstream, database: psycopg.Connection, fault: Fault
) -> None:
    given = storyboard(alice.subject)
    with upstream.failing("/rest/", fault):
        assert_unavailable(timed_invoke(alice, "save_frames", json.dumps(given)), "database_unavailable")
    count = "select count(*) from public.video_sessions where user_id = %s"
    assert database.execute(count, (alice.subject,)).fetchone() == (0,)


@pytest.mark.parametrize("fault", FAULTS)
def test_uploading_answers_503_while_storage_fails_and_heals_when_repeated(
    alice: User, upstream: FaultyUpstream, fault: Fault
) -> None:
    with upstream.failing("/storage/", fault):
        assert_unavailable(timed_invoke(alice, "upload_image", upload_body()), "storage_unavailable")
    assert timed_invoke(alice, "upload_image", upload_body()).status == 200


def test_an_upload_whose_thumbnail_failed_is_whole_after_a_repeat(alice: User, upstream: FaultyUpstream) -> None:
    with upstream.failing(f"/storage/v1/object/videomaker/{alice.subject}/thumbnails/", "error_500"):
        assert_unavailable(timed_invoke(alice, "upload_image", upload_body()), "storage_unavailable")
    again = timed_invoke(alice, "upload_image", upload_body()).json
    for url in (again["imageUrl"], again["thumbnailUrl"]):
        assert httpx.get(url).status_code == 200


def test_an_upload_whose_answer_was_lost_can_be_repeated(alice: User, upstream: FaultyUpstream) -> None:
    with upstream.failing("/storage/", "refuse_after"):
        assert_unavailable(timed_invoke(alice, "upload_image", upload_body()), "storage_unavailable")
    assert timed_invoke(alice, "upload_image", upload_body()).status == 200


def test_a_save_whose_answer_was_lost_can_be_repeated(alice: User, upstream: FaultyUpstream) -> None:
    given = json.dumps(storyboard(alice.subject))
    with upstream.failing("/rest/", "refuse_after"):
        assert_unavailable(timed_invoke(alice, "save_frames", given), "database_unavailable")
    assert timed_invoke(alice, "save_frames", given).json["version"] == 1


@pytest.mark.parametrize("fault", ["error_500", "hang"])
def test_a_save_with_images_leaves_no_session_while_storage_fails(
    alice: User, upstream: FaultyUpstream, database: psycopg.Connection, fault: Fault
) -> None:
    data = "data:image/png;base64," + base64.b64encode(png()).decode()
    given = with_frames([frame(1, data), frame(2, image_url(alice.subject, 2))])
    with upstream.failing("/storage/", fault):
        assert_unavailable(timed_invoke(alice, "save_frames", json.dumps(given)), "storage_unavailable")
    count = "select count(*) from public.video_sessions where user_id = %s"
    assert database.execute(count, (alice.subject,)).fetchone() == (0,)


def test_all_urls_of_an_answer_are_signed_in_one_batch(
    alice: User, upstream: FaultyUpstream, function_environment: pytest.MonkeyPatch
) -> None:
    urls = [alice.upload(png(96, 60 + number), number).json["imageUrl"] for number in (1, 2, 3)]
    saved = alice.save(with_frames([frame(number, url) for number, url in enumerate(urls, 1)])).json
    function_environment.setenv("BUCKET_ACCESS", "private")
    settings.cache_clear()
    upstream.seen.clear()
    frames = timed_invoke(alice, "get_frames", sessionId=saved["sessionId"]).json["frames"]
    assert all("token=" in one["imageUrl"] and "token=" in one["thumbnailUrl"] for one in frames)
    assert len(upstream.seen) == 2, "one call to the database, one to Storage"


def test_signing_urls_answers_503_while_storage_fails(
    alice: User, upstream: FaultyUpstream, function_environment: pytest.MonkeyPatch
) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    function_environment.setenv("BUCKET_ACCESS", "private")
    settings.cache_clear()
    with upstream.failing("/storage/", "error_502_html"):
        assert_unavailable(timed_invoke(alice, "get_frames", sessionId=given["sessionId"]), "storage_unavailable")


@pytest.mark.parametrize("child", ["postgrest", "supabase", "postgres"])
def test_the_real_services_stopped_and_started_again(stack: Stack, alice: User, child: str) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    stack.stop_child(child)
    try:
        answer = timed_invoke(alice, "get_frames", sessionId=given["sessionId"])
        assert (answer.status, answer.code) == (503, "database_unavailable")
        assert timed_invoke(alice, "save_frames", json.dumps(given)).status == 503
        if child != "postgrest":
            assert timed_invoke(alice, "upload_image", upload_body()).status == 503
    finally:
        stack.start_child(child)
    assert eventually_reads(alice, given["sessionId"])


@pytest.mark.parametrize("child", ["postgrest", "supabase"])
def test_the_real_services_frozen(stack: Stack, alice: User, child: str) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    stack.pause_child(child)
    try:
        assert_unavailable(timed_invoke(alice, "get_frames", sessionId=given["sessionId"]), "database_unavailable")
    finally:
        stack.resume_child(child)
    assert eventually_reads(alice, given["sessionId"])


def eventually_reads(user: User, session_id: str) -> bool:
    """A service that has just come back may need a moment to open its connections again."""
    for _ in range(100):
        if user.read(session_id).status == 200:
            return True
        time.sleep(0.1)
    return False
