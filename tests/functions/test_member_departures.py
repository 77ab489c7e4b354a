"""members: who leaves, is removed, or hands a session over."""

import multiprocessing
from typing import Any

import psycopg
import pytest

from tests.membership import NewUser, accept, editor, invite, join, people, refused, resave, session_id, viewer
from tests.people import User
from tests.storyboards import frame, image_url, with_frames

__all__ = ["editor", "session_id", "viewer"]  # fixtures

Database = psycopg.Connection[Any]


# Going


def test_a_removed_member_is_out_at_once(alice: User, editor: User, session_id: str) -> None:
    member_id = people(alice, session_id)[editor.email]["memberId"]
    assert alice.delete("members", memberId=member_id).json["outcome"] == "removed"
    assert refused(editor.read(session_id), 404, "session_not_found")
    assert refused(editor.get("members", sessionId=session_id), 404, "session_not_found")
    mine = with_frames([frame(1, image_url(editor.subject))], sessionId=session_id)
    assert refused(editor.save(mine), 404, "session_not_found")
    assert refused(accept(editor, member_id), 404, "invitation_not_found")
    assert refused(alice.delete("members", memberId=member_id), 404, "member_not_found")
    assert refused(alice.patch("members", {"memberId": member_id, "role": "owner"}), 404, "member_not_found")
    assert list(people(alice, session_id)) == ["owner"]


@pytest.mark.parametrize("role", ["editor", "viewer"])
@pytest.mark.parametrize("how", ["sessionId", "memberId"])
def test_a_member_can_leave(alice: User, bob: User, session_id: str, role: str, how: str) -> None:
    member_id = join(alice, session_id, bob, role)
    query = {"sessionId": session_id} if how == "sessionId" else {"memberId": member_id}
    assert bob.delete("members", **query).json["outcome"] == "left"
    assert refused(bob.read(session_id), 404, "session_not_found")
    assert bob.delete("members", **query).status == 404
    assert list(people(alice, session_id)) == ["owner"]


@pytest.mark.parametrize("role", ["editor", "viewer"])
def test_who_went_can_be_invited_again(alice: User, bob: User, session_id: str, role: str) -> None:
    join(alice, session_id, bob, "editor")
    bob.delete("members", sessionId=session_id)
    join(alice, session_id, bob, role)
    assert list(people(alice, session_id)) == ["owner", bob.email]
    assert bob.read(session_id).json["session"]["role"] == role


def test_an_address_is_forgotten_when_its_member_goes(
    alice: User, editor: User, viewer: User, session_id: str, database: Database
) -> None:
    for person in (editor, viewer):
        person.delete("members", sessionId=session_id)
    kept = database.execute(
        "select user_id, email, status from public.session_members where session_id = %s", (session_id,)
    ).fetchall()
    assert kept == [(editor.subject, None, "former")]


def test_the_owner_cannot_leave(alice: User, bob: User, session_id: str) -> None:
    assert refused(alice.delete("members", sessionId=session_id), 409, "owner_cannot_leave")
    assert refused(bob.delete("members", sessionId=session_id), 404, "session_not_found")
    assert refused(bob.delete("members", sessionId="no-such-session"), 404, "session_not_found")


# Handing over


def test_handing_over_makes_the_old_owner_an_editor(alice: User, viewer: User, bob: User, session_id: str) -> None:
    join(alice, session_id, bob)
    member_id = people(alice, session_id)[viewer.email]["memberId"]
    answer = alice.patch("members", {"memberId": member_id, "role": "owner"})
    assert (answer.status, answer.json["role"]) == (200, "editor")
    assert {one["userId"]: one["role"] for one in answer.json["members"]} == {
        viewer.subject: "owner", bob.subject: "editor", alice.subject: "editor",
    }  # fmt: skip
    assert viewer.read(session_id).json["session"]["role"] == "owner"
    session = alice.read(session_id).json["session"]
    assert (session["role"], session["userId"]) == ("editor", viewer.subject)
    assert resave(alice, session_id, mood="dark").status == 200
    assert resave(viewer, session_id, mood="light").status == 200
    assert refused(invite(alice, session_id, "x@example.com"), 403, "forbidden")
    assert invite(viewer, session_id, "x@example.com").status == 200


def test_a_session_can_be_handed_back(alice: User, bob: User, session_id: str) -> None:
    member_id = join(alice, session_id, bob)
    alice.patch("members", {"memberId": member_id, "role": "owner"})
    members = bob.get("members", sessionId=session_id).json["members"]
    (back,) = [one["memberId"] for one in members if one["userId"] == alice.subject]
    assert bob.patch("members", {"memberId": back, "role": "owner"}).status == 200
    assert alice.read(session_id).json["session"]["role"] == "owner"
    assert bob.read(session_id).json["session"]["role"] == "editor"
    assert len(alice.get("members", sessionId=session_id).json["members"]) == 2


def test_the_old_owner_can_go(alice: User, bob: User, session_id: str) -> None:
    alice.patch("members", {"memberId": join(alice, session_id, bob), "role": "owner"})
    assert alice.delete("members", sessionId=session_id).json["outcome"] == "left"
    assert refused(alice.read(session_id), 404, "session_not_found")
    assert resave(bob, session_id, mood="dark").status == 200
    assert refused(bob.delete("members", sessionId=session_id), 409, "owner_cannot_leave")


def test_an_invitation_cannot_become_the_owner(alice: User, bob: User, session_id: str) -> None:
    member_id = invite(alice, session_id, bob.email).json["member"]["memberId"]
    assert refused(alice.patch("members", {"memberId": member_id, "role": "owner"}), 409, "not_a_member")
    assert alice.read(session_id).json["session"]["role"] == "owner"


def test_of_many_changes_at_once_one_owner_is_left(
    alice: User, new_user: NewUser, session_id: str, database: Database
) -> None:
    """The owner hands over to four at once, while each of them leaves: whatever comes first, one person owns it."""
    members = [new_user() for _ in range(4)]
    ids = [join(alice, session_id, one) for one in members]
    arguments = [(alice.token, member_id, "") for member_id in ids]
    arguments += [(one.token, member_id, session_id) for one, member_id in zip(members, ids, strict=True)]
    with multiprocessing.get_context("spawn").Pool(4) as environments:
        results = environments.starmap(hand_over_or_leave, arguments, chunksize=1)
    assert results[:4].count(200) <= 1
    owners = database.execute(
        "select user_id from public.video_sessions where session_id = %s", (session_id,)
    ).fetchall()
    twice = database.execute(
        "select from public.session_members m join public.video_sessions s using (session_id, user_id)"
        " where session_id = %s",
        (session_id,),
    ).fetchall()
    assert (len(owners), twice) == (1, [])
    handed_over = 200 in results[:4]
    assert (owners[0][0] != alice.subject) == handed_over


def hand_over_or_leave(token: str, member_id: str, session_id: str) -> int:
    person = User("", token)
    if session_id:
        answer = person.delete("members", sessionId=session_id)
        assert answer.status in (200, 404, 409), answer.body
    else:
        answer = person.patch("members", {"memberId": member_id, "role": "owner"})
        assert answer.status in (200, 403, 404, 409), answer.body
    return answer.status
