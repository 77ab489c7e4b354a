"""history: what a caller has made comes back, newest first or by what it is searched for, and to nobody else."""

import io
import json
import zipfile
from typing import Any

import httpx
import psycopg
import pytest

from tests.client import Answer, Client, JsonObject
from tests.people import User
from tests.storyboards import frame, image_url, png, storyboard, with_frames

Database = psycopg.Connection[Any]


def save(user: User, prompt: str = "A prompt", **more: object) -> str:
    answer = user.save(storyboard(user.subject, 1, originalPrompt=prompt, **more))
    assert answer.status == 200, answer.json
    session_id: str = answer.json["sessionId"]
    return session_id


def listed(user: Client, **query: Any) -> list[JsonObject]:
    answer = user.get("history", **query)
    assert answer.status == 200, answer.json
    sessions: list[JsonObject] = answer.json["sessions"]
    return sessions


def ids(user: Client, **query: Any) -> list[str]:
    return [session["sessionId"] for session in listed(user, **query)]


def membership(database: Database, session_id: str, user: User, role: str = "viewer") -> None:
    database.execute(
        "insert into public.session_members (session_id, user_id, role, status) values (%s, %s, %s, 'accepted')",
        (session_id, user.subject, role),
    )


def video(database: Database, session_id: str, *, status: str = "completed", path: str | None = None) -> str:
    found = database.execute(
        "insert into public.final_videos (session_id, status, progress, video_url, width, height, fps,"
        " duration_seconds)"
        " values (%s, %s, 1, %s, 1280, 720, 30, 5) returning video_id::text",
        (session_id, status, path),
    ).fetchone()
    assert found
    return str(found[0])


def test_sessions_come_newest_first_with_their_first_frames_and_last_videos(alice: User, database: Database) -> None:
    upload = alice.upload(png()).json
    first = alice.save(with_frames([frame(n, upload["imageUrl"]) for n in range(1, 7)])).json["sessionId"]
    second = save(alice)
    made = [video(database, first, path=f"{alice.subject}/videos/{n}.mp4") for n in range(4)]
    sessions = listed(alice)
    assert [one["sessionId"] for one in sessions] == [second, first]
    session = sessions[1]
    assert (session["role"], session["userId"], session["frameCount"]) == ("owner", alice.subject, 6)
    assert [one["frameNumber"] for one in session["frames"]] == [1, 2, 3, 4]
    assert session["frames"][0]["thumbnailUrl"] == upload["thumbnailUrl"]
    assert session["frames"][0]["placeholder"] == upload["placeholder"]
    assert [one["videoId"] for one in session["videos"]] == made[:0:-1]
    assert session["videos"][0]["videoUrl"].endswith(f"/{alice.subject}/videos/3.mp4")
    assert "highlights" not in session or session["highlights"] is None


def test_pages_follow_one_another_without_gap_or_repeat(alice: User, database: Database) -> None:
    made = [save(alice) for _ in range(7)]
    database.execute(  # three made in one moment: the id decides
        "update public.video_sessions set created_at = '2026-01-01' where session_id = any (%s)", (made[2:5],)
    )
    expected = ids(alice, limit=100)
    assert sorted(expected) == sorted(made)
    found: list[str] = []
    page = alice.get("history", limit=2).json
    while True:
        assert len(page["sessions"]) <= 2
        found += [one["sessionId"] for one in page["sessions"]]
        if page["nextCursor"] is None:
            break
        page = alice.get("history", limit=2, cursor=page["nextCursor"]).json
    assert found == expected


def test_a_session_made_meanwhile_does_not_disturb_the_pages(alice: User) -> None:
    made = [save(alice) for _ in range(4)]
    page = alice.get("history", limit=2).json
    save(alice)
    rest = alice.get("history", limit=2, cursor=page["nextCursor"]).json
    assert [one["sessionId"] for one in page["sessions"] + rest["sessions"]] == made[::-1]


def test_nobody_sees_what_is_another_ones(alice: User, bob: User, guest: Client) -> None:
    save(alice, "A secret lighthouse")
    for stranger in (bob, guest):
        assert listed(stranger) == []
        assert listed(stranger, q="lighthouse") == []
        assert listed(stranger, scope="shared") == []


def test_what_was_shared_is_told_apart(alice: User, bob: User, database: Database) -> None:
    hers, his = save(alice, "A lighthouse"), save(bob, "A lighthouse")
    membership(database, hers, bob, "editor")
    assert ids(bob) == [his, hers]
    assert ids(bob, scope="own") == [his]
    assert ids(bob, scope="shared") == [hers]
    assert [one["role"] for one in listed(bob)] == ["owner", "editor"]
    assert set(ids(bob, q="lighthouse")) == {his, hers}
    assert ids(bob, q="lighthouse", scope="shared") == [hers]
    assert listed(bob, scope="shared")[0]["userId"] == alice.subject
    database.execute("update public.session_members set status = 'former' where user_id = %s", (bob.subject,))
    assert ids(bob) == [his]


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ({"style": "noir"}, True),
        ({"style": "anime"}, False),
        ({"mood": "dark"}, True),
        ({"mood": "Dark"}, False),
        ({"templateId": "film-noir"}, True),
        ({"templateId": "anime"}, False),
        ({"status": "frames_generated"}, True),
        ({"status": "completed"}, False),
        ({"tag": "spring"}, True),
        ({"tag": "autumn"}, False),
        ({"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00+00:00"}, True),
        ({"since": "2026-03-01T12:00:00.001Z"}, False),
        ({"until": "2026-03-01T12:00:00Z"}, False),
        ({"style": "noir", "mood": "light"}, False),
    ],
)
@pytest.mark.parametrize("searching", [False, True])
def test_filters_leave_what_fits_all_of_them(
    alice: User, database: Database, query: dict[str, Any], fits: bool, searching: bool
) -> None:
    session_id = save(alice, "Rain", style="noir", mood="dark", templateId="film-noir")
    database.execute(
        "update public.video_sessions set tags = '{spring,draft}', created_at = '2026-03-01 12:00Z'"
        " where session_id = %s",
        (session_id,),
    )
    assert ids(alice, **query, **({"q": "rain"} if searching else {})) == ([session_id] if fits else [])


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("lighthouse", True),
        ("LIGHTHOUSES", True),  # an English stem
        ("keeper whale", True),
        ("keeper -whale", False),
        ('"lighthouse keeper"', True),
        ('"keeper lighthouse"', False),
        ("dragon or whale", True),
        ("Leuchtturm", True),  # of a frame's description
        ("epilogue", True),  # of its title
        ("tempest", True),  # of its story
        ("dragon", False),
        ("'; drop table public.video_sessions; --", False),
        ("! & | <-> :*", False),
        ("\\", False),
    ],
)
def test_search_looks_into_prompt_story_and_descriptions(alice: User, query: str, fits: bool) -> None:
    texts = {"description": "Der Leuchtturm", "storyTitle": "Epilogue", "sceneStory": "A tempest rises"}
    given = with_frames(
        [frame(1, image_url(alice.subject), **texts)], originalPrompt="The lighthouse keeper befriends a whale"
    )
    session_id = alice.save(given).json["sessionId"]
    assert ids(alice, q=query) == ([session_id] if fits else [])


def test_what_fits_better_comes_first_and_pages_go_on_from_there(alice: User) -> None:
    def described(prompt: str, description: str) -> str:
        given = with_frames([frame(1, image_url(alice.subject), description=description)], originalPrompt=prompt)
        session_id: str = alice.save(given).json["sessionId"]
        return session_id

    best = described("Whale, whale and whale again", "A whale")
    described("Nothing of the kind", "Nothing")
    good = described("A whale", "The sea")
    weak = [described("The sea", "A whale") for _ in range(3)]
    assert ids(alice, q="whale") == [best, good, *weak[::-1]]
    found: list[str] = []
    page = alice.get("history", q="whale", limit=2).json
    while page["nextCursor"]:
        found += [one["sessionId"] for one in page["sessions"]]
        page = alice.get("history", q="whale", limit=2, cursor=page["nextCursor"]).json
    assert found + [one["sessionId"] for one in page["sessions"]] == [best, good, *weak[::-1]]


def test_highlights_say_where_it_fits_without_any_markup(alice: User) -> None:
    given = with_frames(
        [frame(1, image_url(alice.subject), description="The sea"),
         frame(2, image_url(alice.subject, 2), description="<b>Whales</b> ahead")],
        originalPrompt="A <script>whale</script> sings",
    )  # fmt: skip
    alice.save(given)
    prompt, second = listed(alice, q="whale")[0]["highlights"]
    assert prompt["frameNumber"] is None
    assert [one["text"] for one in prompt["fragments"] if one["match"]] == ["whale"]
    assert "".join(one["text"] for one in prompt["fragments"]) == "A <script>whale</script> sings"
    assert second["frameNumber"] == 2
    assert [one["text"] for one in second["fragments"] if one["match"]] == ["Whales"]


def test_a_change_is_found_by_its_new_words_only(alice: User) -> None:
    given = storyboard(alice.subject, 1, originalPrompt="A lighthouse")
    alice.save(given)
    given["frames"][0]["description"] = "A volcano"
    alice.save(given | {"originalPrompt": "A harbour"})
    assert [bool(ids(alice, q=word)) for word in ("harbour", "volcano", "lighthouse")] == [True, True, False]


def test_the_same_answer_has_the_same_etag_and_is_not_sent_again(alice: User) -> None:
    save(alice)
    first = alice.get("history")
    again = alice.get("history", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    save(alice)
    assert alice.get("history", headers={"If-None-Match": first.headers["etag"]}).status == 200


@pytest.mark.parametrize("cursor", ["x", "W10", "WyJoaXN0b3J5IiwieCIsMV0", "WyJoaXN0b3J5IHNlYXJjaCIsIm5hbiIsMV0"])
@pytest.mark.parametrize("query", [{}, {"q": "x"}])
def test_a_cursor_that_is_not_ours_is_refused(alice: User, cursor: str, query: dict[str, Any]) -> None:
    answer = alice.get("history", cursor=cursor, **query)
    assert (answer.status, answer.code) == (400, "invalid_cursor")


@pytest.mark.parametrize(
    "query",
    [{"q": ""}, {"q": "x" * 201}, {"limit": 0}, {"limit": 101}, {"scope": "everything"}, {"status": "done"},
     {"since": "yesterday"}, {"since": "2026-01-01"}, {"until": "1767225600"},
     {"until": "2026-01-01T00:00:00"}, {"style": "\0"}],
)  # fmt: skip
def test_a_query_that_means_nothing_is_refused_by_name(alice: User, query: dict[str, Any]) -> None:
    answer = alice.get("history", **query)
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert [error["path"] for error in answer.json["errors"]] == list(query)


def test_somebody_elses_user_id_is_refused(alice: User, bob: User) -> None:
    assert alice.get("history", userId=bob.subject).code == "user_mismatch"


def contents(answer: Answer) -> zipfile.ZipFile:
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/zip"
    return zipfile.ZipFile(io.BytesIO(answer.body))


def test_an_export_holds_data_images_and_video(alice: User, database: Database) -> None:
    upload = alice.upload(png()).json
    session_id = alice.save(with_frames([frame(1, upload["imageUrl"], description="Grüße")])).json["sessionId"]
    with contents(alice.get("history", export=session_id)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["frames/0001.webp", "storyboard.json"]
        assert archive.read("frames/0001.webp") == httpx.get(upload["imageUrl"]).content
        document = json.loads(archive.read("storyboard.json"))
    assert document["session"]["sessionId"] == session_id
    assert (document["frames"][0]["description"], document["frames"][0]["file"]) == ("Grüße", "frames/0001.webp")
    assert document["video"] is None


def test_a_large_export_is_fetched_from_the_bucket(
    alice: User, stack: Any, database: Database, function_environment: pytest.MonkeyPatch
) -> None:
    session_id = save(alice)
    path = f"{alice.subject}/videos/large.mp4"
    service = {"Authorization": f"Bearer {stack.info['serviceKey']}", "content-type": "video/mp4"}
    storage = f"{stack.info['supabaseUrl']}/storage/v1/object/videomaker/{path}"
    large = bytes(5_000_000)
    assert httpx.post(storage, content=large, headers=service).status_code == 200
    video(database, session_id, path=path)
    answer = alice.get("history", export=session_id)
    assert answer.status == 303
    archive = zipfile.ZipFile(io.BytesIO(httpx.get(answer.headers["location"]).content))
    assert archive.read("video.mp4") == large
    assert archive.namelist() == ["video.mp4", "storyboard.json"]  # the frame's image was never uploaded
    function_environment.setattr("functions.history.exporting.LARGEST_EXPORT", 4_000_000)
    assert alice.get("history", export=session_id).code == "export_too_large"


def test_only_who_can_read_a_session_can_export_it(alice: User, bob: User, database: Database) -> None:
    session_id = save(alice)
    assert bob.get("history", export=session_id).code == "session_not_found"
    assert bob.get("history", export="none").code == "session_not_found"
    membership(database, session_id, bob)
    assert bob.get("history", export=session_id).status == 200
