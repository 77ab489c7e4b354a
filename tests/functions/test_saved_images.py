"""save_frames: which images a storyboard may have, and those that come within it."""

import base64

import psycopg

from tests.people import User
from tests.storyboards import frame, image_url, png, stored_frames, storyboard, with_frames


def data_url(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()


def foreign_urls(bob: User) -> list[str]:
    own = image_url(bob.subject)
    return [
        own,
        own.replace("/public/", "/sign/") + "?token=x",
        "https://example.com/picture.png",
        own.replace("127.0.0.1", "127.0.0.2"),
        own.replace("/videomaker/", "/other/"),
        f"{bob.subject}/frames/frame_1_0123456789abcdef.webp",
        f"ALICE/../{bob.subject}/frames/frame_1.webp",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//example.com/x.png",
        "/etc/passwd",
        "?",
        "http://[::1",
    ]


def test_images_from_elsewhere_are_refused_and_named(alice: User, bob: User, database: psycopg.Connection) -> None:
    for url in foreign_urls(bob):
        given = with_frames([frame(1, image_url(alice.subject)), frame(2, url.replace("ALICE", alice.subject))])
        answer = alice.save(given)
        assert (answer.status, answer.code) == (422, "foreign_image_url"), url
        assert answer.json["errors"] == [{"path": "frames[1].imageUrl", "message": "not an image of yours"}], url
        assert stored_frames(database, given["sessionId"]) == []
        assert alice.read(given["sessionId"]).status == 404


def test_an_image_of_a_session_that_the_caller_can_read_may_be_used_in_another(
    alice: User, bob: User, database: psycopg.Connection
) -> None:
    bobs = image_url(bob.subject)
    readable = storyboard(alice.subject, 1)
    alice.save(readable)
    another = with_frames([frame(1, bobs)])
    assert alice.save(another).status == 422
    database.execute(
        "update public.video_frames set image_url = %s where session_id = %s", (bobs, readable["sessionId"])
    )
    assert alice.save(another).status == 200


def test_a_data_url_is_stored_as_an_upload_would_be(alice: User, database: psycopg.Connection) -> None:
    given = with_frames([frame(1, data_url(png())), frame(2, image_url(alice.subject, 2))])
    saved = alice.save(given).json["frames"][0]
    uploaded = alice.upload(png(), 1).json
    for name in ("imageUrl", "thumbnailUrl", "width", "height", "bytes", "mimeType", "placeholder"):
        assert saved[name] == uploaded[name], name
    stored = database.execute(
        "select image_url from public.video_frames where session_id = %s", (given["sessionId"],)
    ).fetchall()
    assert not any("base64" in url for (url,) in stored)


def test_a_bad_data_url_names_its_frame_and_stores_nothing(alice: User, database: psycopg.Connection) -> None:
    given = with_frames([frame(1, data_url(png())), frame(2, "data:image/png;base64,AAAA")])
    answer = alice.save(given)
    assert (answer.status, answer.code) == (422, "not_an_image")
    assert answer.json["errors"][0]["path"] == "frames[1].imageUrl"
    assert objects_of(database, alice) == []


def test_data_urls_are_not_stored_for_a_save_that_the_database_refuses(
    alice: User, bob: User, database: psycopg.Connection
) -> None:
    taken = storyboard(bob.subject)
    bob.save(taken)
    mine = frame(1, data_url(png()))
    assert alice.save(with_frames([mine, frame(2, image_url(bob.subject))])).code == "foreign_image_url"
    assert alice.save(with_frames([mine]), If_Match='"7"').code == "version_conflict"
    assert alice.save(with_frames([mine], sessionId=taken["sessionId"])).code == "session_not_found"
    assert objects_of(database, alice) == []


def objects_of(database: psycopg.Connection, user: User) -> list[tuple[str]]:
    return database.execute("select name from storage.objects where owner_id = %s", (user.subject,)).fetchall()


def test_facts_of_uploaded_images_are_saved_with_their_frames(alice: User) -> None:
    uploaded = alice.upload(png(width=640, height=360), 1).json
    saved = alice.save(with_frames([frame(1, uploaded["imageUrl"])])).json["frames"][0]
    assert (saved["width"], saved["height"]) == (640, 360)
    assert saved["thumbnailUrl"] == uploaded["thumbnailUrl"]
    assert saved["placeholder"] == uploaded["placeholder"]
    assert saved["bytes"] == uploaded["bytes"]
