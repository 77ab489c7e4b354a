"""history, DELETE: a session or everything of a caller goes for good, and nothing of anybody else's."""

from typing import Any

import httpx
import psycopg
import pytest

from tests.client import Client, JsonObject
from tests.functions.test_history import membership, save, video
from tests.people import User
from tests.storyboards import frame, png, with_frames
from tests.webhooks import act, endpoint

Database = psycopg.Connection[Any]


def erase(user: Client, **query: Any) -> JsonObject:
    answer = user.send("DELETE", "history", **query)
    assert answer.status == 200, answer.json
    receipt: JsonObject = answer.json
    return receipt


def with_images(user: User, images: int = 2) -> tuple[str, list[str]]:
    uploads = [user.upload(png(90 + number), number).json["imageUrl"] for number in range(1, images + 1)]
    saved = user.save(with_frames([frame(number, url) for number, url in enumerate(uploads, start=1)]))
    return saved.json["sessionId"], uploads


def objects(database: Database, subject: str) -> set[str]:
    found = database.execute("select name from storage.objects where starts_with(name, %s)", (f"{subject}/",))
    return {name for (name,) in found.fetchall()}


def rows_of(database: Database, subject: str) -> dict[str, int]:
    """Return how many rows of each table are the user's own."""
    tables = database.execute(
        "select c.table_schema, c.table_name from information_schema.columns c join information_schema.tables t"
        " using (table_schema, table_name) where c.table_schema in ('public', 'private') and c.column_name = 'user_id'"
        " and t.table_type = 'BASE TABLE'"
    ).fetchall()
    counts = {}
    for schema, table in tables:
        found = database.execute(f"select count(*) from {schema}.{table} where user_id = %s", (subject,)).fetchone()
        assert found
        counts[str(table)] = int(found[0])
    return counts


def test_a_session_goes_with_rows_and_files_and_a_receipt_tells(alice: User, database: Database) -> None:
    session_id, urls = with_images(alice)
    kept_id, kept_urls = with_images(alice, 1)
    video(database, session_id)
    receipt = erase(alice, sessionId=session_id)
    assert receipt["rows"] | {"video_sessions": 1, "video_frames": 2, "final_videos": 1} == receipt["rows"]
    # The first image is the same one as the other session's: content has one address.
    assert (receipt["files"]["removed"], receipt["files"]["left"]) == (2, 0)
    assert receipt["files"]["bytes"] > 0
    assert alice.read(session_id).status == 404
    assert httpx.get(urls[1], params={"again": "1"}).status_code == 400
    assert alice.read(kept_id).status == 200
    assert httpx.get(kept_urls[0]).status_code == 200
    assert erase(alice, sessionId=kept_id)["files"]["removed"] == 2
    assert objects(database, alice.subject) == set()


def test_twice_is_a_404(alice: User) -> None:
    session_id = save(alice)
    erase(alice, sessionId=session_id)
    answer = alice.send("DELETE", "history", sessionId=session_id)
    assert (answer.status, answer.code) == (404, "session_not_found")


def test_only_the_owner_deletes_a_session(alice: User, bob: User, guest: Client, database: Database) -> None:
    session_id = save(alice)
    for stranger in (bob, guest):
        assert stranger.send("DELETE", "history", sessionId=session_id).code == "session_not_found"
    membership(database, session_id, bob, "editor")
    answer = bob.send("DELETE", "history", sessionId=session_id)
    assert (answer.status, answer.code) == (403, "forbidden")
    assert alice.read(session_id).status == 200


@pytest.mark.parametrize("query", [{}, {"scope": "account", "sessionId": "x"}, {"scope": "session"}])
def test_what_is_to_go_must_be_said(alice: User, query: dict[str, Any]) -> None:
    answer = alice.send("DELETE", "history", **query)
    assert (answer.status, answer.code) == (422, "validation_failed")


def test_a_file_of_an_editor_is_left_to_maintenance(alice: User, bob: User, database: Database) -> None:
    session_id, _ = with_images(alice, 1)
    membership(database, session_id, bob, "editor")
    his = bob.upload(png()).json["imageUrl"]
    given = alice.read(session_id).json
    frames = [frame(1, given["frames"][0]["imageUrl"]), frame(2, his)]
    assert bob.save(with_frames(frames, sessionId=session_id)).status == 200
    receipt = erase(alice, sessionId=session_id)
    assert (receipt["files"]["removed"], receipt["files"]["left"]) == (2, 2)
    assert len(objects(database, bob.subject)) == 2


def test_an_account_leaves_nothing_of_its_own(alice: User, bob: User, database: Database) -> None:
    with_images(alice)
    save(alice, templateId="anime")
    alice.send("POST", "templates", {"name": "Mine"}, headers={"Idempotency-Key": "k"})
    alice.upload(png(500), 9)  # saved nowhere
    for user in (alice, bob):
        endpoint(user)
        assert act(user, "rotate_secret").status == 200
    hers = save(bob)
    membership(database, hers, alice)
    others = rows_of(database, bob.subject), objects(database, bob.subject)
    receipt = erase(alice, scope="account")
    assert set(rows_of(database, alice.subject).values()) == {0}
    assert objects(database, alice.subject) == set()
    assert receipt["rows"]["video_sessions"] == 2
    assert receipt["rows"]["video_templates"] == 1
    assert receipt["rows"]["session_members"] == 1
    assert receipt["rows"]["webhook_endpoints"] == 1
    assert receipt["rows"]["webhook_secrets"] == 1
    assert (receipt["files"]["removed"], receipt["files"]["left"]) == (6, 0)
    assert (rows_of(database, bob.subject), objects(database, bob.subject)) == others
    assert erase(alice, scope="account")["files"]["removed"] == 0


def test_what_a_member_gave_to_a_session_of_another_stays_with_it(alice: User, bob: User, database: Database) -> None:
    session_id = save(alice)
    membership(database, session_id, bob, "editor")
    his = bob.upload(png()).json["imageUrl"]
    assert bob.save(with_frames([frame(1, his)], sessionId=session_id)).status == 200
    alone = bob.upload(png(300), 2).json["imageUrl"]
    receipt = erase(bob, scope="account")
    assert receipt["files"]["removed"] == 2
    assert httpx.get(his).status_code == 200
    assert httpx.get(alone, params={"again": "1"}).status_code == 400
    assert alice.read(session_id).json["frames"][0]["imageUrl"] == his
    assert bob.read(session_id).status == 404


def test_guests_can_delete_what_is_theirs(guest: Client, database: Database) -> None:
    user_id = guest.upload(png()).json["userId"]
    url = guest.upload(png(), user_id=user_id).json["imageUrl"]
    session_id = guest.save(with_frames([frame(1, url)], userId=user_id)).json["sessionId"]
    assert erase(guest, sessionId=session_id, userId=user_id)["files"]["removed"] == 2
    assert guest.read(session_id, userId=user_id).status == 404
