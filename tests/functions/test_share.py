"""share: links that are made, listed and revoked by whoever may edit the session, and by nobody else."""

import hashlib
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from infra.local.stack import Stack
from shared import shares
from shared.settings import settings
from tests.client import Client, JsonObject, in_parallel
from tests.people import User
from tests.sharing import Studio, Viewer

Database = psycopg.Connection[Any]


def everything(database: Database) -> str:
    """Return all rows in which a link's secrets could lie, as text."""
    tables = ("public.share_links", "private.share_views", "private.share_tries", "public.idempotency_keys")
    rows = [
        row for table in tables for row in database.execute(f"select to_jsonb(t) from {table} t".encode()).fetchall()
    ]
    return json.dumps(rows)


def test_a_link_is_answered_with_its_address_once(studio: Studio) -> None:
    session_id = studio.session()
    share = studio.share(session_id)
    assert share["success"] is True
    assert share["url"] == f"{settings().watch_url}/{share['token']}"
    assert len(share["token"]) == 22
    assert (share["sessionId"], share["videoId"], share["hasPassword"]) == (session_id, None, False)
    assert (share["state"], share["views"], share["maxViews"], share["expiresAt"]) == ("active", 0, None, None)
    listed = studio.user.get("share", sessionId=session_id)
    assert share["token"] not in listed.text
    assert listed.json["shares"] == [{name: share[name] for name in listed.json["shares"][0]}]


def test_tokens_differ(studio: Studio) -> None:
    session_id = studio.session()
    assert len({studio.share(session_id)["token"] for _ in range(5)}) == 5


def test_the_database_holds_neither_token_nor_password(studio: Studio, database: Database) -> None:
    share_of = {"sessionId": studio.session(), "password": "open sesame 1001"}
    answer = studio.user.post("share", share_of, Idempotency_Key=str(uuid.uuid4())).json
    text = everything(database)
    assert hashlib.sha256(answer["token"].encode()).hexdigest() in text
    assert answer["token"] not in text
    assert "sesame" not in text
    for weak in (hashlib.sha256, hashlib.md5, hashlib.sha1):
        assert weak(b"open sesame 1001").hexdigest() not in text
    # Nor is the request, of which the rest is known, remembered by a hash that passwords could be tried against.
    body: JsonObject = {
        "session_id": share_of["sessionId"], "video_id": None, "password": "open sesame 1001", "expires_at": None,
        "expires_in": None, "max_views": None, "user_id": None,
    }  # fmt: skip
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(canonical.encode()).hexdigest() not in text


def test_trying_passwords_against_a_hash_costs_memory_and_time() -> None:
    cost = shares._SCRYPT
    assert 128 * cost["n"] * cost["r"] >= 32 * 1024 * 1024
    assert cost["p"] >= 3


def test_one_password_has_another_hash_on_each_link(studio: Studio, database: Database) -> None:
    session_id = studio.session()
    for _ in range(2):
        studio.share(session_id, password="the same")
    found = database.execute(
        "select count(distinct password_hash) from public.share_links where session_id = %s", (session_id,)
    ).fetchone()
    assert found == (2,)


@pytest.mark.parametrize(
    ("limits", "path"),
    [
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": "2999-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": "2030-01-01T00:00:00"}, "expiresAt"),
        ({"expiresAt": "2030-01-01T00:00:00Z", "expiresIn": 60}, "expiresIn"),
        ({"expiresIn": 0}, "expiresIn"),
        ({"expiresIn": 10**12}, "expiresIn"),
        ({"maxViews": 0}, "maxViews"),
        ({"maxViews": 2**31}, "maxViews"),
        ({"password": ""}, "password"),
        ({"password": "x" * 201}, "password"),
        ({"password": "a\0b"}, "password"),
        ({"videoId": "7"}, "videoId"),
        ({"sessionId": ""}, "sessionId"),
    ],
)
def test_limits_that_make_no_sense_are_refused_by_name(studio: Studio, limits: JsonObject, path: str) -> None:
    session_id = studio.session()
    answer = studio.user.post("share", {"sessionId": session_id, **limits})
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert [error["path"] for error in answer.json["errors"]] == [path]
    assert studio.user.get("share", sessionId=session_id).json["shares"] == []


def test_an_end_is_given_as_a_time_or_in_seconds(studio: Studio) -> None:
    session_id = studio.session()
    later = datetime.now(UTC) + timedelta(days=3)
    assert datetime.fromisoformat(studio.share(session_id, expiresAt=later.isoformat())["expiresAt"]) == later
    ends = datetime.fromisoformat(studio.share(session_id, expiresIn=3600)["expiresAt"])
    assert timedelta(minutes=50) < ends - datetime.now(UTC) <= timedelta(hours=1)


def test_a_link_may_name_one_video_of_the_session(studio: Studio, other_studio: Studio) -> None:
    session_id = studio.session()
    video_id = studio.video(session_id)
    assert studio.share(session_id, videoId=video_id)["videoId"] == video_id
    foreign = other_studio.video(other_studio.session())
    for other in (studio.video(studio.session()), foreign, str(uuid.uuid4())):
        answer = studio.user.post("share", {"sessionId": session_id, "videoId": other})
        assert (answer.status, answer.code) == (404, "video_not_found")


def test_a_strangers_session_is_answered_like_a_missing_one(studio: Studio, bob: User) -> None:
    session_id = studio.session()
    share = studio.share(session_id)
    for name in (session_id, str(uuid.uuid4())):
        for answer in (bob.post("share", {"sessionId": name}), bob.get("share", sessionId=name)):
            assert (answer.status, answer.code) == (404, "session_not_found")
    for name in (share["shareId"], str(uuid.uuid4())):
        answer = bob.delete("share", shareId=name)
        assert (answer.status, answer.code) == (404, "share_not_found")
    assert studio.user.get("share", sessionId=session_id).json["shares"][0]["state"] == "active"


def test_an_editor_manages_the_links_of_a_session_and_a_viewer_does_not_see_them(
    studio: Studio, new_user: Callable[[], User], database: Database
) -> None:
    session_id = studio.session()
    people = {role: new_user() for role in ("editor", "viewer")}
    for role, person in people.items():
        database.execute(
            "insert into public.session_members (session_id, user_id, role, status) values (%s, %s, %s, 'accepted')",
            (session_id, person.subject, role),
        )
    share = studio.share(session_id)
    editor, viewer = people["editor"], people["viewer"]
    assert editor.post("share", {"sessionId": session_id}).status == 200
    assert len(editor.get("share", sessionId=session_id).json["shares"]) == 2
    for answer in (viewer.post("share", {"sessionId": session_id}), viewer.get("share", sessionId=session_id)):
        assert (answer.status, answer.code) == (403, "forbidden")
    assert viewer.delete("share", shareId=share["shareId"]).code == "share_not_found"
    assert editor.delete("share", shareId=share["shareId"]).json["state"] == "revoked"
    database.execute("update public.session_members set status = 'former' where user_id = %s", (editor.subject,))
    assert editor.get("share", sessionId=session_id).code == "session_not_found"


def test_guests_cannot_share(guest: Client) -> None:
    for answer in (
        guest.post("share", {"sessionId": "x"}),
        guest.get("share", sessionId="x"),
        guest.delete("share", shareId=str(uuid.uuid4())),
    ):
        assert (answer.status, answer.code) == (401, "authentication_required")


def test_revoking_twice_is_answered_alike(studio: Studio) -> None:
    share = studio.shared_video()
    first = studio.user.delete("share", shareId=share["shareId"])
    assert (first.status, first.json["state"]) == (200, "revoked")
    assert studio.user.delete("share", shareId=share["shareId"]).json == first.json
    assert studio.user.get("share", sessionId=share["sessionId"]).json["shares"][0]["state"] == "revoked"


@pytest.mark.parametrize("value", [None, "2999-01-01T00:00:00Z"])
def test_what_was_revoked_cannot_be_opened_again(studio: Studio, stack: Stack, value: str | None) -> None:
    share = studio.shared_video()
    studio.user.delete("share", shareId=share["shareId"])
    headers = {"apikey": stack.info["anonKey"], "Authorization": f"Bearer {studio.user.token}"}
    url = f"{stack.info['supabaseUrl']}/rest/v1/share_links"
    only = {"share_id": f"eq.{share['shareId']}"}
    httpx.patch(url, headers=headers, params=only, json={"revoked_at": value})
    assert studio.user.get("share", sessionId=share["sessionId"]).json["shares"][0]["state"] == "revoked"


def test_nobody_reads_or_changes_the_hashes(studio: Studio, stack: Stack) -> None:
    share = studio.shared_video(password="secret")
    headers = {"apikey": stack.info["anonKey"], "Authorization": f"Bearer {studio.user.token}"}
    url = f"{stack.info['supabaseUrl']}/rest/v1/share_links"
    only = {"share_id": f"eq.{share['shareId']}"}
    for column in ("token_hash", "password_hash", "*"):
        assert httpx.get(url, headers=headers, params=only | {"select": column}).status_code == 403
    for column in ("token_hash", "password_hash", "views", "max_views", "expires_at", "session_id"):
        assert httpx.patch(url, headers=headers, params=only, json={column: None}).status_code == 403, column
    assert httpx.delete(url, headers=headers, params=only).status_code == 403


def test_a_row_written_past_the_function_must_be_the_writers_own(studio: Studio, stack: Stack, bob: User) -> None:
    session_id = studio.session()
    headers = {"apikey": stack.info["anonKey"], "Authorization": f"Bearer {studio.user.token}"}
    foreign_video = studio.video(studio.session())
    for change in ({"created_by": bob.subject}, {"video_id": foreign_video}):
        row = {"session_id": session_id, "token_hash": "0" * 64, "created_by": studio.user.subject, **change}
        answer = httpx.post(f"{stack.info['supabaseUrl']}/rest/v1/share_links", headers=headers, json=row)
        assert answer.status_code == 403, change


def test_the_states_of_links_are_listed_newest_first_and_paged(studio: Studio) -> None:
    session_id = studio.session()
    shares = [studio.share(session_id, maxViews=number) for number in range(1, 6)]
    studio.expire(shares[0])
    studio.user.delete("share", shareId=shares[1]["shareId"])
    studio.database.execute("update public.share_links set views = 3 where share_id = %s", (shares[2]["shareId"],))
    found, cursor, pages = [], None, 0
    while True:
        page = studio.user.get("share", sessionId=session_id, limit=2, **({"cursor": cursor} if cursor else {})).json
        found += page["shares"]
        pages += 1
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert pages == 3
    assert [one["maxViews"] for one in found] == [5, 4, 3, 2, 1]
    assert [one["state"] for one in found] == ["active", "active", "used_up", "revoked", "expired"]


@pytest.mark.parametrize("cursor", ["x", "W10", "é", "bnVsbA"])
def test_a_cursor_that_is_not_ours_is_refused(studio: Studio, cursor: str) -> None:
    answer = studio.user.get("share", sessionId=studio.session(), cursor=cursor)
    assert (answer.status, answer.code) == (400, "invalid_cursor")


def test_a_repeated_request_makes_one_link_and_gets_its_address_again(studio: Studio) -> None:
    body = {"sessionId": studio.session(), "password": "secret", "expiresIn": 60}
    key = str(uuid.uuid4())
    answers = in_parallel(lambda _: studio.user.post("share", body, Idempotency_Key=key), 4)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert len(studio.user.get("share", sessionId=body["sessionId"]).json["shares"]) == 1
    for change in ({"password": "other"}, {"maxViews": 3}):
        answer = studio.user.post("share", body | change, Idempotency_Key=key)
        assert (answer.status, answer.code) == (409, "idempotency_key_reused")


def test_a_key_is_its_senders_own(studio: Studio, other_studio: Studio) -> None:
    key = str(uuid.uuid4())
    mine = studio.user.post("share", {"sessionId": studio.session()}, Idempotency_Key=key).json
    other = other_studio.user.post("share", {"sessionId": other_studio.session()}, Idempotency_Key=key).json
    assert mine["token"] != other["token"]


def test_links_go_with_their_session(studio: Studio, database: Database) -> None:
    share = studio.shared_video()
    database.execute("delete from public.video_sessions where session_id = %s", (share["sessionId"],))
    assert studio.user.delete("share", shareId=share["shareId"]).code == "share_not_found"


@pytest.mark.usefixtures("signing_key")
def test_links_are_made_and_opened_where_the_projects_own_key_signs_tokens(studio: Studio, viewer: Viewer) -> None:
    body = {"sessionId": studio.session()}
    key = str(uuid.uuid4())
    share, again = (studio.user.post("share", body, Idempotency_Key=key).json for _ in range(2))
    assert share == again
    assert viewer.open(share).status == 200


def test_without_an_address_of_watch_no_link_is_made(studio: Studio, function_environment: pytest.MonkeyPatch) -> None:
    session_id = studio.session()
    function_environment.delenv("WATCH_URL")
    settings.cache_clear()
    answer = studio.user.post("share", {"sessionId": session_id})
    assert (answer.status, answer.code) == (503, "not_configured")
    assert studio.user.get("share", sessionId=session_id).json["shares"] == []


def test_logs_hold_no_token_and_no_password(
    studio: Studio, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    share = studio.shared_video(password="open sesame")
    studio.user.post("share", {"sessionId": share["sessionId"], "password": ["open sesame"]})
    written = capsys.readouterr().out + caplog.text
    assert "refused" in written
    assert share["token"] not in written
    assert "sesame" not in written
