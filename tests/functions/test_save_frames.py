"""save_frames: one storyboard in one transaction."""

import multiprocessing
import uuid
from collections.abc import Callable

import psycopg
import pytest

from tests.client import Client
from tests.people import User
from tests.storyboards import JsonObject, frame, image_url, png, stored_frames, storyboard, with_frames


def test_answers_the_session_as_stored(alice: User) -> None:
    given = storyboard(alice.subject, 3)
    answer = alice.save(given)
    assert answer.status == 200
    saved = answer.json
    assert saved["success"] is True
    assert saved["sessionId"] == given["sessionId"]
    assert saved["userId"] == alice.subject
    assert saved["frameCount"] == 3
    assert saved["version"] == 1
    assert [one["frameNumber"] for one in saved["frames"]] == [1, 2, 3]
    assert [one["imageUrl"] for one in saved["frames"]] == [one["imageUrl"] for one in given["frames"]]
    assert answer.headers["etag"] == '"1"'


def test_mints_a_session_id_where_there_is_none(alice: User) -> None:
    given = storyboard(alice.subject)
    del given["sessionId"]
    first, second = alice.save(given).json, alice.save(given).json
    assert uuid.UUID(first["sessionId"]) != uuid.UUID(second["sessionId"])


@pytest.mark.parametrize("count", [1, 2, 500, 1000])
def test_saves_and_reads_back_any_number_of_frames(alice: User, count: int) -> None:
    given = storyboard(alice.subject, count)
    saved = alice.save(given)
    assert (saved.status, saved.json["frameCount"]) == (200, count)
    read = alice.read(given["sessionId"]).json
    assert [one["frameNumber"] for one in read["frames"]] == list(range(1, count + 1))
    assert read["nextCursor"] is None


def test_saving_the_same_again_changes_nothing(alice: User) -> None:
    given = storyboard(alice.subject, 3)
    first, again = alice.save(given).json, alice.save(given).json
    assert again == first


def test_what_was_read_can_be_saved_again_unchanged(alice: User) -> None:
    given = storyboard(alice.subject, 3)
    alice.save(given)
    read = alice.read(given["sessionId"]).json
    again = alice.save({**given, "frames": read["frames"]}).json
    assert again["version"] == 1
    assert again["frames"] == read["frames"]


def test_shrinking_removes_the_frames_beyond_the_new_list(alice: User, database: psycopg.Connection) -> None:
    given = storyboard(alice.subject, 5)
    alice.save(given)
    shrunk = alice.save({**given, "frames": given["frames"][:2], "frameCount": 2}).json
    assert shrunk["version"] == 2
    assert [number for number, _ in stored_frames(database, given["sessionId"])] == [1, 2]


def test_a_change_of_one_frame_keeps_the_rows_of_the_others(alice: User) -> None:
    given = storyboard(alice.subject, 3)
    before = alice.save(given).json
    given["frames"][1]["description"] = "Changed"
    after = alice.save(given).json
    assert [one["id"] for one in after["frames"]] == [one["id"] for one in before["frames"]]
    assert after["frames"][1]["description"] == "Changed"
    assert after["version"] == 2


def test_concurrent_saves_leave_one_of_them_whole(alice: User, database: psycopg.Connection) -> None:
    session_id = str(uuid.uuid4())
    arguments = [(alice.subject, alice.token, session_id, writer) for writer in range(8)]
    # Processes, as Lambda has one environment for each concurrent invocation.
    with multiprocessing.get_context("spawn").Pool(4) as environments:
        versions = environments.starmap(save_in_process, arguments)
    stored = stored_frames(database, session_id)
    assert len({description for _, description in stored}) == 1
    writer = int(stored[0][1].removeprefix("by "))
    assert len(stored) == 20 + writer
    assert sorted(versions) == list(range(1, 9))


def save_in_process(subject: str, token: str, session_id: str, writer: int) -> int:
    frames = [frame(number, image_url(subject, number), description=f"by {writer}") for number in range(1, 21 + writer)]
    answer = Client(token).save(with_frames(frames, sessionId=session_id))
    assert answer.status == 200, answer.body
    return int(answer.json["version"])


def test_somebody_elses_session_is_not_found_and_stays_as_it_is(alice: User, bob: User) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    stolen = bob.save({**storyboard(bob.subject), "sessionId": given["sessionId"]})
    assert (stolen.status, stolen.code) == (404, "session_not_found")
    assert alice.read(given["sessionId"]).json["session"]["version"] == 1


def test_frames_without_numbers_are_numbered_by_their_order(alice: User) -> None:
    frames = [frame(1, image_url(alice.subject), frameId=name) for name in ("intro", "middle_2", "end-3")]
    saved = alice.save(with_frames(frames)).json["frames"]
    assert [(one["frameNumber"], one["frameId"]) for one in saved] == [(1, "intro"), (2, "middle_2"), (3, "end-3")]


@pytest.mark.parametrize("name", ["id", "frameId", "frameNumber"])
@pytest.mark.parametrize("value", [7, "7", 7.0])
def test_every_name_of_a_frames_number_is_understood(alice: User, name: str, value: object) -> None:
    given = frame(1, image_url(alice.subject))
    del given["frameId"]
    saved = alice.save(with_frames([{**given, name: value}])).json
    assert saved["frames"][0]["frameNumber"] == 7


def test_missing_timestamps_are_an_even_split(alice: User) -> None:
    frames = [frame(number, image_url(alice.subject)) for number in (1, 2, 3, 4)]
    for one in frames:
        del one["timestamp"]
    saved = alice.save(with_frames(frames, videoDuration=30)).json["frames"]
    assert [one["timestamp"] for one in saved] == ["0s", "7.5s", "15s", "22.5s"]


@pytest.mark.parametrize(("missing", "present"), [("description", "prompt"), ("prompt", "description")])
def test_description_and_prompt_stand_for_one_another(alice: User, missing: str, present: str) -> None:
    given = frame(1, image_url(alice.subject))
    del given[missing]
    saved = alice.save(with_frames([given])).json["frames"][0]
    assert saved[missing] == given[present]


def test_every_optional_field_comes_back(alice: User) -> None:
    more = {
        "sceneStory": "The tide turns",
        "storyTitle": "Tides",
        "storyOverview": "Of tides and friends",
        "style": "noir",
        "mood": "tense",
    }
    saved = alice.save(with_frames([frame(1, image_url(alice.subject), **more)])).json["frames"][0]
    assert {name: saved[name] for name in more} == more


def changed(**more: object) -> Callable[[JsonObject], JsonObject]:
    return lambda given: given | more


def frame_changed(**more: object) -> Callable[[JsonObject], JsonObject]:
    return lambda given: given | {"frames": [given["frames"][0] | more, *given["frames"][1:]]}


REFUSALS: list[tuple[str, Callable[[JsonObject], JsonObject], str]] = [
    ("no frames", changed(frames=[], frameCount=0), "frames"),
    ("frames is no list", changed(frames="x"), "frames"),
    ("frame is no object", changed(frames=[1], frameCount=1), "frames[0]"),
    ("too many frames", lambda given: given | {"frames": given["frames"] * 501, "frameCount": 1002}, "frames"),
    ("another frame count", changed(frameCount=5), "frameCount"),
    ("the same number twice", frame_changed(frameId=2), "frames"),
    ("number zero", frame_changed(frameId=0), "frames"),
    ("duration zero", changed(videoDuration=0), "videoDuration"),
    ("duration too long", changed(videoDuration=3601), "videoDuration"),
    ("duration is no number", changed(videoDuration="long"), "videoDuration"),
    ("prompt missing", changed(originalPrompt=None), "originalPrompt"),
    ("style too long", changed(style="x" * 101), "style"),
    ("mood too long", changed(mood="x" * 101), "mood"),
    ("session id too long", changed(sessionId="x" * 256), "sessionId"),
    ("session id empty", changed(sessionId=""), "sessionId"),
    ("NUL in text", changed(originalPrompt="a\0b"), "originalPrompt"),
    ("lone surrogate", changed(originalPrompt="a\ud800b"), "originalPrompt"),
    ("bad slug", frame_changed(frameId="a b"), "frames[0].frameId"),
    ("slug too long", frame_changed(frameId="x" * 65), "frames[0].frameId"),
    ("negative number", frame_changed(frameId=-1), "frames[0].frameId"),
    ("broken number", frame_changed(frameId=1.5), "frames[0].frameId"),
    ("number beyond an integer", frame_changed(frameId=2**31), "frames[0].frameId"),
    ("digits beyond an integer", frame_changed(frameId="9" * 60), "frames[0].frameId"),
    ("boolean number", frame_changed(frameId=True), "frames[0].frameId"),
    ("no image", frame_changed(imageUrl=None), "frames[0].imageUrl"),
    ("empty image", frame_changed(imageUrl=""), "frames[0].imageUrl"),
    ("neither description nor prompt", frame_changed(description=None, prompt=""), "frames[0]"),
    ("timestamp too long", frame_changed(timestamp="1" * 51), "frames[0].timestamp"),
    ("title too long", frame_changed(storyTitle="x" * 256), "frames[0].storyTitle"),
]


@pytest.mark.parametrize(("change", "path"), [pytest.param(*one[1:], id=one[0]) for one in REFUSALS])
def test_a_refusal_names_the_field(
    alice: User, database: psycopg.Connection, change: Callable[[JsonObject], JsonObject], path: str
) -> None:
    given = change(storyboard(alice.subject))
    answer = alice.save(given)
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert path in [error["path"] for error in answer.json["errors"]]
    count = database.execute("select count(*) from public.video_sessions where user_id = %s", (alice.subject,))
    assert count.fetchone() == (0,)


def test_a_failure_in_the_middle_leaves_nothing(alice: User, database: psycopg.Connection) -> None:
    given = storyboard(alice.subject, 3)
    database.execute("alter table public.video_frames add constraint fails_here check (description <> 'fails here')")
    try:
        given["frames"][2]["description"] = "fails here"
        assert alice.save(given).status == 503
    finally:
        database.execute("alter table public.video_frames drop constraint fails_here")
    assert stored_frames(database, given["sessionId"]) == []
    assert alice.read(given["sessionId"]).status == 404


def test_a_guest_gets_an_id_and_needs_it_to_read(guest: Client) -> None:
    uploads = [guest.upload(png(), number).json["imageUrl"] for number in (1, 2)]
    saved = guest.save(with_frames([frame(number, url) for number, url in enumerate(uploads, 1)])).json
    assert saved["userId"].startswith("guest_")
    read = guest.read(saved["sessionId"], userId=saved["userId"])
    assert read.status == 200
    assert read.json["session"]["userId"] == saved["userId"]
    assert guest.read(saved["sessionId"]).status == 404


def test_a_guests_session_is_marked_as_one(guest: Client, alice: User, database: psycopg.Connection) -> None:
    url = guest.upload(png(), 1).json["imageUrl"]
    guests = guest.save(with_frames([frame(1, url)])).json["sessionId"]
    members = alice.save(storyboard(alice.subject)).json["sessionId"]
    marks = database.execute(
        "select session_id, is_guest from public.video_sessions where session_id in (%s, %s)", (guests, members)
    ).fetchall()
    assert dict(marks) == {guests: True, members: False}
