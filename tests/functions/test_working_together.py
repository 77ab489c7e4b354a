"""members: editors change one storyboard, and lose nothing of one another; viewers see it."""

import base64
import multiprocessing
import threading
from typing import Any

import httpx
import psycopg
import pytest

from infra.local.stack import Stack
from tests.client import Answer
from tests.membership import editor, join, refused, resave, session_id, viewer
from tests.people import User
from tests.storyboards import frame, image_url, png, with_frames

__all__ = ["editor", "session_id", "viewer"]  # fixtures

Database = psycopg.Connection[Any]


def test_an_editor_changes_the_storyboard_and_adds_images_of_its_own(
    alice: User, editor: User, session_id: str
) -> None:
    uploaded = editor.upload(png(), 4).json
    assert f"/{editor.subject}/frames/" in uploaded["imageUrl"]
    frames = [*editor.read(session_id).json["frames"], frame(4, uploaded["imageUrl"])]
    saved = resave(editor, session_id, frames=frames)
    assert saved.status == 200
    assert (saved.json["version"], saved.json["userId"]) == (2, editor.subject)
    read = alice.read(session_id).json
    assert [one["imageUrl"] for one in read["frames"]] == [one["imageUrl"] for one in frames]
    assert read["session"]["userId"] == alice.subject
    assert resave(alice, session_id, mood="dark").json["version"] == 3


@pytest.mark.parametrize("order", [[2, 0, 1], [2], [1, 2], [2, 2, 0], [1]])
def test_an_editor_reorders_repeats_and_drops_frames_of_others(
    alice: User, editor: User, session_id: str, order: list[int]
) -> None:
    before = [one["imageUrl"] for one in alice.read(session_id).json["frames"]]
    frames = [frame(number, before[place]) for number, place in enumerate(order, start=1)]
    assert resave(editor, session_id, frames=frames).status == 200
    assert [one["imageUrl"] for one in alice.read(session_id).json["frames"]] == [before[place] for place in order]


def test_an_editor_cannot_bring_in_a_file_that_it_may_not_read(
    alice: User, editor: User, bob: User, session_id: str
) -> None:
    for url in (image_url(bob.subject), image_url(alice.subject, 9)):
        assert refused(resave(editor, session_id, frames=[frame(1, url)]), 422, "foreign_image_url")


def test_a_viewer_reads_and_cannot_save(alice: User, viewer: User, session_id: str, database: Database) -> None:
    pixels = "data:image/png;base64,iVBORw0KGgo="
    assert refused(resave(viewer, session_id, mood="dark"), 403, "forbidden")
    assert refused(resave(viewer, session_id, mood="dark", version=7), 403, "forbidden")
    assert resave(viewer, session_id, frames=[frame(1, pixels)]).status in (403, 422)
    mine = with_frames([frame(1, image_url(viewer.subject))], sessionId=session_id)
    assert refused(viewer.save(mine), 403, "forbidden")
    assert alice.read(session_id).json["session"]["version"] == 1
    assert database.execute("select from storage.objects where owner_id = %s", (viewer.subject,)).fetchall() == []


def test_a_viewers_picture_is_not_stored_for_a_save_that_is_refused(
    viewer: User, session_id: str, database: Database
) -> None:
    pixels = "data:image/png;base64," + base64.b64encode(png()).decode()
    assert refused(resave(viewer, session_id, frames=[frame(1, pixels)]), 403, "forbidden")
    assert database.execute("select from storage.objects where owner_id = %s", (viewer.subject,)).fetchall() == []


def test_nobody_but_the_owner_can_delete_the_session(
    alice: User, editor: User, stack: Stack, session_id: str, database: Database
) -> None:
    for person, left in ((editor, 1), (alice, 0)):
        httpx.delete(
            f"{stack.info['supabaseUrl']}/rest/v1/video_sessions",
            params={"session_id": f"eq.{session_id}"},
            headers={"apikey": stack.info["anonKey"], "Authorization": f"Bearer {person.token}"},
        )
        found = database.execute("select from public.video_sessions where session_id = %s", (session_id,)).fetchall()
        assert len(found) == left
    assert refused(editor.get("members", sessionId=session_id), 404, "session_not_found")


def test_of_two_editors_on_one_version_one_is_told_of_the_other(
    alice: User, editor: User, bob: User, session_id: str
) -> None:
    join(alice, session_id, bob)
    assert resave(editor, session_id, mood="dark", version=1).status == 200
    late = resave(bob, session_id, mood="light", version=1)
    assert refused(late, 412, "version_conflict")
    assert late.json["currentVersion"] == 2
    assert alice.read(session_id).json["session"]["mood"] == "dark"
    assert resave(bob, session_id, mood="light", version=2).status == 200


def test_two_editors_at_once_lose_no_update(alice: User, editor: User, bob: User, session_id: str) -> None:
    """Each adds ten words to the prompt, one at a time, on top of what it read; what is refused is done again."""
    join(alice, session_id, bob)
    spawning = multiprocessing.get_context("spawn")
    with spawning.Manager() as manager, spawning.Pool(2) as environments:
        both_are_there = manager.Barrier(2)
        arguments = [(editor.token, session_id, "e", both_are_there), (bob.token, session_id, "b", both_are_there)]
        conflicts = environments.starmap(add_words, arguments)
    session = alice.read(session_id).json["session"]
    words = session["originalPrompt"].split()[-20:]
    assert sorted(words) == sorted(f"{name}{number}" for name in "eb" for number in range(10))
    assert session["version"] == 21
    assert sum(conflicts) > 0, "they never met: nothing was proved"


def add_words(token: str, session_id: str, name: str, both_are_there: threading.Barrier) -> int:
    person = User("", token)
    person.read(session_id)
    both_are_there.wait(60)
    conflicts = 0
    for number in range(10):
        while True:
            read = person.read(session_id)
            prompt = f"{read.json['session']['originalPrompt']} {name}{number}"
            saved = resave_on(person, read, prompt)
            if saved.status == 200:
                break
            assert refused(saved, 412, "version_conflict"), saved.body
            conflicts += 1
    return conflicts


def resave_on(person: User, read: Answer, prompt: str) -> Answer:
    session, frames = read.json["session"], read.json["frames"]
    body = {name: session[name] for name in ("sessionId", "videoDuration", "frameCount", "style", "mood")}
    return person.save({**body, "originalPrompt": prompt, "frames": frames}, If_Match=read.headers["etag"])
