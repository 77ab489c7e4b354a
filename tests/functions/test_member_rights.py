"""members: who may do what, and that a foreign session cannot be told from a missing one."""

import uuid
from typing import Any

import psycopg
import pytest

from infra.local.keys import Keys
from tests.client import Answer, Client
from tests.membership import accept, editor, invite, join, people, refused, resave, session_id, viewer, without_id
from tests.people import Claims, User
from tests.storyboards import frame, png, storyboard, with_frames

__all__ = ["editor", "session_id", "viewer"]  # fixtures

Database = psycopg.Connection[Any]


# Who may do what


def test_only_the_owner_invites_removes_and_changes_roles(
    alice: User, editor: User, viewer: User, bob: User, session_id: str
) -> None:
    of_editor = people(alice, session_id)[editor.email]["memberId"]
    of_viewer = people(alice, session_id)[viewer.email]["memberId"]
    for person, other in ((editor, of_viewer), (viewer, of_editor)):
        assert refused(invite(person, session_id, "x@example.com"), 403, "forbidden")
        for role in ("viewer", "editor", "owner"):
            assert refused(person.patch("members", {"memberId": other, "role": role}), 403, "forbidden")
        assert refused(person.delete("members", memberId=other), 403, "forbidden")
    assert refused(invite(bob, session_id, "x@example.com"), 404, "session_not_found")
    assert refused(bob.get("members", sessionId=session_id), 404, "session_not_found")
    for member_id in (of_editor, of_viewer, str(uuid.uuid4())):
        assert refused(bob.patch("members", {"memberId": member_id, "role": "owner"}), 404, "member_not_found")
        assert refused(bob.delete("members", memberId=member_id), 404, "member_not_found")
    assert {one["role"] for one in people(alice, session_id).values()} == {"owner", "editor", "viewer"}


def test_members_can_do_nothing_with_an_invitation_that_they_do_not_see(
    alice: User, editor: User, session_id: str
) -> None:
    member_id = invite(alice, session_id, "invited@example.com").json["member"]["memberId"]
    assert refused(editor.patch("members", {"memberId": member_id, "role": "viewer"}), 404, "member_not_found")
    assert refused(editor.delete("members", memberId=member_id), 404, "member_not_found")


def test_the_invited_cannot_give_itself_a_role(alice: User, bob: User, session_id: str) -> None:
    member_id = invite(alice, session_id, bob.email, "viewer").json["member"]["memberId"]
    for role in ("editor", "owner"):
        assert refused(bob.patch("members", {"memberId": member_id, "role": role}), 403, "forbidden")


def test_a_role_can_be_changed_back_and_forth(alice: User, bob: User, session_id: str) -> None:
    member_id = join(alice, session_id, bob, "viewer")
    assert refused(resave(bob, session_id, mood="dark"), 403, "forbidden")
    changed = alice.patch("members", {"memberId": member_id, "role": "editor"})
    assert [one["role"] for one in changed.json["members"]] == ["owner", "editor"]
    assert resave(bob, session_id, mood="dark").status == 200
    alice.patch("members", {"memberId": member_id, "role": "viewer"})
    assert refused(resave(bob, session_id, mood="light"), 403, "forbidden")


def test_a_change_of_role_is_a_change_to_whoever_reads(alice: User, bob: User, session_id: str) -> None:
    member_id = join(alice, session_id, bob, "viewer")
    etag = bob.read(session_id).headers["etag"]
    assert bob.read(session_id, headers={"If-None-Match": etag}).status == 304
    alice.patch("members", {"memberId": member_id, "role": "editor"})
    assert bob.read(session_id, headers={"If-None-Match": etag}).status == 200


def test_guests_neither_invite_nor_join(guest: Client, session_id: str) -> None:
    saved = guest.upload(png()).json
    mine = guest.save(with_frames([frame(1, saved["imageUrl"])], userId=saved["userId"])).json
    body = {"sessionId": mine["sessionId"], "email": "x@example.com", "role": "viewer", "userId": saved["userId"]}
    assert refused(guest.post("members", body), 401, "authentication_required")
    assert refused(guest.get("members", sessionId=session_id), 401, "authentication_required")
    assert refused(guest.delete("members", sessionId=session_id), 401, "authentication_required")
    assert guest.read(mine["sessionId"], userId=saved["userId"]).json["session"]["role"] == "owner"


def test_users_of_supabases_anonymous_sign_in_are_guests_too(
    alice: User, session_id: str, keys: Keys, claims: Claims, function_environment: object
) -> None:
    subject = str(uuid.uuid4())
    anonymous = User(subject, keys.sign(claims(sub=subject, is_anonymous=True, email="x@example.com")), "x@example.com")
    mine = anonymous.save(storyboard(subject, 1)).json["sessionId"]
    assert refused(invite(anonymous, mine, "y@example.com"), 403, "account_required")
    member_id = invite(alice, session_id, anonymous.email).json["member"]["memberId"]
    assert refused(accept(anonymous, member_id), 404, "invitation_not_found")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "sessionId"),
        ({"sessionId": "s", "email": "ann@example.com"}, "role"),
        ({"sessionId": "s", "role": "editor"}, "email"),
        ({"memberId": str(uuid.uuid4()), "role": "editor"}, "memberId"),
        ({"memberId": "1"}, "memberId"),
        ({"sessionId": "s", "email": "ann@example.com", "role": "owner"}, "role"),
        ({"sessionId": "s", "email": "ann", "role": "editor"}, "email"),
        ({"sessionId": "s", "email": "a@b@c", "role": "editor"}, "email"),
        ({"sessionId": "s", "email": "Ann <ann@example.com>", "role": "editor"}, "email"),
        ({"sessionId": "s", "email": "a@x.org, b@x.org", "role": "editor"}, "email"),
        ({"sessionId": "s", "email": f"{'a' * 65}@example.com", "role": "editor"}, "email"),
        ({"sessionId": "s", "email": f"a@{'b' * 255}", "role": "editor"}, "email"),
    ],
)
def test_what_is_neither_an_invitation_nor_an_answer_names_its_fault(
    alice: User, body: dict[str, object], path: str
) -> None:
    answer = alice.post("members", body)
    assert refused(answer, 422, "validation_failed")
    assert [one["path"] for one in answer.json["errors"]] == [path]


@pytest.mark.parametrize("query", [{}, {"memberId": str(uuid.uuid4()), "sessionId": "s"}, {"memberId": "1"}])
def test_a_removal_names_whom_it_is_about(alice: User, query: dict[str, str]) -> None:
    assert refused(alice.delete("members", **query), 422, "validation_failed")


def test_a_user_id_must_be_the_callers(alice: User, bob: User, session_id: str) -> None:
    body = {"sessionId": session_id, "email": "x@example.com", "role": "viewer", "userId": bob.subject}
    assert refused(alice.post("members", body), 403, "user_mismatch")
    assert refused(alice.get("members", userId=bob.subject), 403, "user_mismatch")


# A session that is not there and one of somebody else's


def attempts(person: User, session_id: str) -> list[Answer]:
    return [
        person.read(session_id),
        person.get("members", sessionId=session_id),
        invite(person, session_id, "x@example.com"),
        person.delete("members", sessionId=session_id),
    ]


def test_words_and_steps_do_not_tell_a_foreign_session_from_a_missing_one(bob: User, session_id: str) -> None:
    for foreign, missing in zip(attempts(bob, session_id), attempts(bob, str(uuid.uuid4())), strict=True):
        assert foreign.status == missing.status == 404
        assert without_id(foreign) == without_id(missing)
        assert steps(foreign) == steps(missing)
        assert foreign.headers.keys() == missing.headers.keys()


def steps(answer: Answer) -> list[str]:
    return [part.partition(";")[0] for part in answer.headers["server-timing"].split(",")]


@pytest.mark.parametrize(
    "call",
    [
        "public.list_members(%s)",
        "public.leave_session(%s)",
        "public.invite_member(%s, 'x@example.com', 'viewer')",
    ],
)
def test_the_database_does_the_same_work_for_a_foreign_session_as_for_a_missing_one(
    bob: User, session_id: str, database: Database, call: str
) -> None:
    """How long it takes follows from what is done; this counts it, as no clock is steady enough for a test."""
    assert work(database, bob, call, session_id) == work(database, bob, call, str(uuid.uuid4())) != {}


def work(database: Database, person: User, call: str, session_id: str) -> dict[str, int]:
    """Return how often each function was called and each table searched until the call was refused."""
    counts = """
        select schemaname || '.' || funcname, calls::int from pg_stat_xact_user_functions
        where schemaname in ('public', 'private')
        union all select relname || ' searches', (coalesce(idx_scan, 0) + seq_scan)::int from pg_stat_xact_user_tables
        where schemaname = 'public' and coalesce(idx_scan, 0) + seq_scan > 0
    """
    claims = f'{{"sub": "{person.subject}", "role": "authenticated", "email": "{person.email}"}}'
    with database.transaction(force_rollback=True):
        database.execute("set local track_functions = 'all'")
        database.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        before = dict(database.execute(counts).fetchall())
        with pytest.raises(psycopg.Error, match="_not_found"), database.transaction():
            database.execute("set local role authenticated")
            database.execute(f"select {call}", (session_id,))
        after = dict(database.execute(counts).fetchall())
    return {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
