"""get_frames: the storyboard back to its owner, and to nobody else."""

import json
import uuid
from datetime import UTC, datetime

import httpx
import psycopg
import pytest

from tests.client import Client
from tests.people import User
from tests.storyboards import frame, image_url, png, storyboard, with_frames

SESSION_FIELDS = {
    "id", "sessionId", "userId", "originalPrompt", "videoDuration", "frameCount", "style", "mood", "status",
    "createdAt", "updatedAt",
}  # fmt: skip
FRAME_FIELDS = {
    "id", "sessionId", "frameNumber", "timestamp", "imageUrl", "description", "prompt", "sceneStory", "storyTitle",
    "storyOverview", "style", "mood", "createdAt",
}  # fmt: skip


def test_answers_every_column_in_camel_case(alice: User) -> None:
    given = storyboard(alice.subject, 2)
    alice.save(given)
    answer = alice.read(given["sessionId"])
    assert answer.status == 200
    page = answer.json
    assert page["success"] is True
    assert page["session"].keys() >= SESSION_FIELDS
    assert page["frames"][0].keys() >= FRAME_FIELDS
    assert page["session"]["originalPrompt"] == given["originalPrompt"]
    assert page["session"]["status"] == "frames_generated"
    assert [one["description"] for one in page["frames"]] == ["Frame 1", "Frame 2"]


def test_unicode_comes_back_as_it_was_saved(alice: User) -> None:
    text = 'Ein Leuchtturmwärter – 灯台守 – маяк – 🐋\u2028"quoted" \\ back\nslash\ttab'
    given = storyboard(alice.subject, 1, originalPrompt=text)
    alice.save(given)
    assert alice.read(given["sessionId"]).json["session"]["originalPrompt"] == text


def test_somebody_elses_session_is_answered_like_a_missing_one(alice: User, bob: User, guest: Client) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    missing = bob.read(str(uuid.uuid4()))
    for stranger in (bob, guest):
        answer = stranger.read(given["sessionId"])
        assert (answer.status, answer.code) == (404, "session_not_found")
        assert answer.json | {"requestId": ""} == missing.json | {"requestId": ""}


def test_a_user_id_must_be_the_callers_own(alice: User, bob: User, guest: Client) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    assert alice.read(given["sessionId"], userId=alice.subject).status == 200
    for stranger in (bob, guest):
        answer = stranger.read(given["sessionId"], userId=alice.subject)
        assert (answer.status, answer.code) == (403, "user_mismatch")


def test_a_guest_id_made_from_a_public_image_url_gives_nothing(guest: Client) -> None:
    first = guest.save(with_frames([frame(1, guest.upload(png()).json["imageUrl"])])).json
    own = guest.upload(png(), 1, first["userId"]).json["imageUrl"]
    folder = own.split("/videomaker/")[1].split("/")[0]
    assert first["userId"].removeprefix("guest_") not in own
    for guess in (folder, f"guest_{folder}", f"guest_{folder.replace('-', '')}"):
        assert guest.read(first["sessionId"], userId=guess).status in (403, 404)


def test_pages_by_cursor_until_all_frames_were_read(alice: User) -> None:
    given = storyboard(alice.subject, 7)
    alice.save(given)
    numbers, cursor, pages = [], None, 0
    while True:
        page = alice.read(given["sessionId"], limit=3, **({"cursor": cursor} if cursor else {})).json
        numbers += [one["frameNumber"] for one in page["frames"]]
        pages += 1
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert numbers == [1, 2, 3, 4, 5, 6, 7]
    assert pages == 3


def test_a_full_last_page_has_no_cursor(alice: User) -> None:
    given = storyboard(alice.subject, 4)
    alice.save(given)
    first = alice.read(given["sessionId"], limit=2).json
    assert alice.read(given["sessionId"], limit=2, cursor=first["nextCursor"]).json["nextCursor"] is None


@pytest.mark.parametrize("cursor", ["x", "ZnJhbWU6", "%00", "é", "W10", "MQ", "e30"])
def test_a_cursor_that_is_not_ours_is_refused(alice: User, cursor: str) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    answer = alice.read(given["sessionId"], cursor=cursor)
    assert (answer.status, answer.code) == (400, "invalid_cursor")


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1.5"])
def test_a_limit_out_of_range_is_refused(alice: User, limit: str) -> None:
    answer = alice.read("any", limit=limit)
    assert (answer.status, answer.json["errors"][0]["path"]) == (422, "limit")


def test_the_session_id_is_required(alice: User) -> None:
    answer = alice.get("get_frames")
    assert (answer.status, answer.json["errors"][0]["path"]) == (422, "sessionId")


def test_a_matching_etag_answers_304_without_a_body(alice: User) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    etag = alice.read(given["sessionId"]).headers["etag"]
    for form in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = alice.read(given["sessionId"], headers={"If-None-Match": form})
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"] == etag


def test_the_etag_changes_with_every_change_and_with_the_page(alice: User, database: psycopg.Connection) -> None:
    given = storyboard(alice.subject, 3)
    session_id = given["sessionId"]
    alice.save(given)
    tags = [alice.read(session_id).headers["etag"], alice.read(session_id, limit=2).headers["etag"]]
    alice.save({**given, "mood": "dark"})
    tags.append(alice.read(session_id).headers["etag"])
    database.execute("update public.video_frames set description = 'by hand' where session_id = %s", (session_id,))
    tags.append(alice.read(session_id).headers["etag"])
    database.execute("update public.video_sessions set status = 'generating' where session_id = %s", (session_id,))
    tags.append(alice.read(session_id).headers["etag"])
    assert len(set(tags)) == len(tags)
    assert alice.read(session_id, headers={"If-None-Match": tags[0]}).status == 200


def test_a_storyboard_too_large_for_one_answer_comes_in_pages(alice: User) -> None:
    # Each quote takes four bytes in what Lambda transfers.
    heavy = {"description": '"' * 14_000, "prompt": "é" * 14_000}
    frames = [frame(number, image_url(alice.subject, number), **heavy) for number in range(1, 61)]
    saved = alice.save(with_frames(frames[:30])).json
    session_id = saved["sessionId"]
    alice.save(with_frames(frames, sessionId=session_id))
    numbers, cursor = [], None
    while True:
        answer = alice.read(session_id, **({"cursor": cursor} if cursor else {}))
        assert lambda_bytes(answer.body) <= 6_291_556
        numbers += [one["frameNumber"] for one in answer.json["frames"]]
        cursor = answer.json["nextCursor"]
        if cursor is None:
            break
    assert numbers == list(range(1, 61))


def lambda_bytes(body: bytes) -> int:
    """Return the size of an answer as Lambda's runtime hands it on: the body as a JSON string."""
    return len(json.dumps(body.decode(), ensure_ascii=False).encode()) + 1000


def test_rows_that_were_there_before_are_read_with_their_own_urls(alice: User, database: psycopg.Connection) -> None:
    session_id = str(uuid.uuid4())
    database.execute(
        "insert into public.video_sessions (session_id, user_id, original_prompt, video_duration, frame_count, style,"
        " mood) values (%s, %s, 'p', 5, 1, 's', 'm')",
        (session_id, alice.subject),
    )
    database.execute(
        "insert into public.video_frames (session_id, frame_number, timestamp, image_url, description, prompt)"
        " values (%s, 1, '0s', 'https://example.com/old.png', 'd', 'p')",
        (session_id,),
    )
    shown = alice.read(session_id).json["frames"][0]
    assert (shown["imageUrl"], shown["thumbnailUrl"]) == ("https://example.com/old.png", None)


@pytest.mark.usefixtures("private_bucket")
@pytest.mark.xdist_group("bucket")
class TestPrivateBucket:
    """BUCKET_ACCESS=private."""

    def test_urls_are_signed_at_reading_time_and_paths_are_stored(
        self, alice: User, database: psycopg.Connection
    ) -> None:
        uploaded = alice.upload(png()).json
        saved = alice.save(with_frames([frame(1, uploaded["imageUrl"])])).json
        shown = alice.read(saved["sessionId"]).json["frames"][0]
        for url in (uploaded["imageUrl"], shown["imageUrl"], shown["thumbnailUrl"]):
            assert "/object/sign/" in url and "token=" in url
            assert httpx.get(url).headers["content-type"] == "image/webp"
            assert httpx.get(url.partition("?")[0].replace("/sign/", "/public/")).status_code == 400
        stored = database.execute(
            "select image_url, image_path from public.video_frames where session_id = %s", (saved["sessionId"],)
        ).fetchall()
        path = stored[0][0]
        assert stored == [(path, path)]
        assert path.startswith(f"{alice.subject}/frames/frame_1_")

    def test_a_guest_reads_what_it_uploaded_before_it_had_an_id(self, guest: Client) -> None:
        uploaded = guest.upload(png()).json["imageUrl"]
        assert httpx.get(uploaded).status_code == 200
        saved = guest.save(with_frames([frame(1, uploaded)])).json
        shown = guest.read(saved["sessionId"], userId=saved["userId"]).json["frames"][0]
        assert httpx.get(shown["imageUrl"]).status_code == 200
        assert httpx.get(shown["thumbnailUrl"]).status_code == 200

    def test_every_answer_tells_until_when_its_urls_work(self, alice: User) -> None:
        uploaded = alice.upload(png()).json
        saved = alice.save(with_frames([frame(1, uploaded["imageUrl"])])).json
        for answer in (uploaded, saved, alice.read(saved["sessionId"]).json):
            left = datetime.fromisoformat(answer["expiresAt"]) - datetime.now(UTC)
            assert 3500 < left.total_seconds() <= 3600

    def test_saving_somebody_elses_path_gives_no_url(self, alice: User, bob: User) -> None:
        bobs = bob.upload(png()).json["imageUrl"].partition("?")[0].partition("/videomaker/")[2]
        answer = alice.save(with_frames([frame(1, bobs)]))
        assert answer.code == "foreign_image_url"

    def test_the_etag_does_not_change_with_each_signature(self, alice: User) -> None:
        saved = alice.save(with_frames([frame(1, alice.upload(png()).json["imageUrl"])])).json
        first, second = alice.read(saved["sessionId"]), alice.read(saved["sessionId"])
        assert first.headers["etag"] == second.headers["etag"]
