"""members: who is invited, who accepts, and who is listed to whom."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from infra.local.keys import Keys
from tests.membership import NewUser, accept, editor, invite, join, people, refused, session_id, viewer, without_id
from tests.people import Claims, User
from tests.storyboards import storyboard

__all__ = ["editor", "session_id", "viewer"]  # fixtures

Database = psycopg.Connection[Any]


# Inviting and accepting


def test_the_invited_address_accepts_and_sees_the_session(alice: User, bob: User, session_id: str) -> None:
    invited = invite(alice, session_id, bob.email, "viewer")
    assert invited.status == 200
    member = invited.json["member"]
    assert (member["status"], member["role"], member["email"], member["userId"]) == (
        "invited", "viewer", bob.email, None,
    )  # fmt: skip
    assert datetime.fromisoformat(member["expiresAt"]) > datetime.now(UTC) + timedelta(days=13)
    assert refused(bob.read(session_id), 404, "session_not_found")

    accepted = accept(bob, member["memberId"])
    assert accepted.status == 200
    assert accepted.json["sessionId"] == session_id
    assert accepted.json["member"]["status"] == "accepted"
    assert accepted.json["member"]["memberId"] == member["memberId"]
    assert accepted.json["member"]["userId"] == bob.subject

    session = bob.read(session_id).json["session"]
    assert (session["role"], session["userId"]) == ("viewer", alice.subject)
    assert alice.read(session_id).json["session"]["role"] == "owner"


def test_an_address_is_the_same_in_capitals_and_between_spaces(alice: User, bob: User, session_id: str) -> None:
    invited = invite(alice, session_id, f"  {bob.email.upper()} ")
    assert invited.json["member"]["email"] == bob.email
    assert accept(bob, invited.json["member"]["memberId"]).status == 200


def test_nobody_else_can_accept_an_invitation(alice: User, bob: User, new_user: NewUser, session_id: str) -> None:
    member_id = invite(alice, session_id, bob.email).json["member"]["memberId"]
    wrong = accept(new_user(), member_id)
    missing = accept(new_user(), str(uuid.uuid4()))
    assert refused(wrong, 404, "invitation_not_found")
    assert without_id(wrong) == without_id(missing)
    assert refused(accept(alice, member_id), 404, "invitation_not_found")
    assert people(alice, session_id)[bob.email]["status"] == "invited"


def test_accepting_twice_is_accepting_once(alice: User, bob: User, session_id: str) -> None:
    member_id = join(alice, session_id, bob)
    assert accept(bob, member_id).json["member"]["status"] == "accepted"
    assert list(people(alice, session_id)) == ["owner", bob.email]


@pytest.mark.parametrize("fault", ["never confirmed", "another by now"])
def test_an_address_that_the_project_does_not_vouch_for_accepts_nothing(
    alice: User, bob: User, session_id: str, database: Database, fault: str
) -> None:
    member_id = invite(alice, session_id, bob.email).json["member"]["memberId"]
    known = (f"new-{bob.email}", datetime.now(UTC)) if fault == "another by now" else (bob.email, None)
    database.execute(
        "insert into auth.users (id, email, email_confirmed_at) values (%s, %s, %s)", (bob.subject, *known)
    )
    assert refused(accept(bob, member_id), 404, "invitation_not_found")
    assert bob.get("members").json["invitations"] == []
    database.execute(
        "update auth.users set email = %s, email_confirmed_at = now() where id = %s", (bob.email, bob.subject)
    )
    assert accept(bob, member_id).status == 200


def test_inviting_twice_keeps_the_invitation_and_renews_it(
    alice: User, bob: User, session_id: str, database: Database
) -> None:
    first = invite(alice, session_id, bob.email, "viewer").json["member"]
    database.execute("update public.session_members set expires_at = now() where member_id = %s", (first["memberId"],))
    again = invite(alice, session_id, bob.email, "editor").json["member"]
    assert again["memberId"] == first["memberId"]
    assert again["role"] == "editor"
    assert again["expiresAt"] >= first["expiresAt"]
    assert len(people(alice, session_id)) == 2


def test_inviting_a_member_again_changes_nothing(alice: User, bob: User, session_id: str) -> None:
    member_id = join(alice, session_id, bob, "viewer")
    again = invite(alice, session_id, bob.email, "viewer")
    assert (again.json["member"]["memberId"], again.json["member"]["status"]) == (member_id, "accepted")
    assert refused(invite(alice, session_id, bob.email, "editor"), 409, "already_member")
    assert bob.read(session_id).json["session"]["role"] == "viewer"


def test_nobody_invites_itself(alice: User, session_id: str) -> None:
    assert refused(invite(alice, session_id, alice.email), 409, "already_member")


def test_an_owner_cannot_accept_an_invitation_to_another_of_its_addresses(
    alice: User, session_id: str, keys: Keys, claims: Claims
) -> None:
    member_id = invite(alice, session_id, "second@example.com").json["member"]["memberId"]
    later = User(alice.subject, keys.sign(claims(sub=alice.subject, email="second@example.com")))
    assert refused(accept(later, member_id), 409, "already_member")


def test_a_member_with_a_second_invitation_takes_the_later_role(
    alice: User, bob: User, session_id: str, keys: Keys, claims: Claims
) -> None:
    join(alice, session_id, bob, "viewer")
    member_id = invite(alice, session_id, "bob@example.org", "editor").json["member"]["memberId"]
    later = User(bob.subject, keys.sign(claims(sub=bob.subject, email="bob@example.org")))
    assert accept(later, member_id).status == 200
    assert list(people(alice, session_id)) == ["owner", "bob@example.org"]
    assert later.read(session_id).json["session"]["role"] == "editor"


def test_an_invitation_ends_after_two_weeks_and_can_be_renewed(
    alice: User, bob: User, session_id: str, database: Database
) -> None:
    member_id = invite(alice, session_id, bob.email).json["member"]["memberId"]
    database.execute(
        "update public.session_members set expires_at = now() - interval '1 s' where member_id = %s", (member_id,)
    )
    assert refused(accept(bob, member_id), 410, "invitation_expired")
    assert bob.get("members").json["invitations"] == []
    assert people(alice, session_id)[bob.email]["status"] == "expired"
    assert invite(alice, session_id, bob.email).json["member"]["status"] == "invited"
    assert accept(bob, member_id).status == 200


def test_the_invited_can_decline_and_be_asked_again(alice: User, bob: User, session_id: str) -> None:
    member_id = invite(alice, session_id, bob.email).json["member"]["memberId"]
    assert bob.delete("members", memberId=member_id).json["outcome"] == "declined"
    assert people(alice, session_id)[bob.email]["status"] == "declined"
    assert refused(accept(bob, member_id), 410, "invitation_expired")
    assert bob.get("members").json["invitations"] == []
    assert invite(alice, session_id, bob.email).json["member"]["memberId"] == member_id
    assert accept(bob, member_id).status == 200


def test_the_owner_can_withdraw_an_invitation(alice: User, bob: User, session_id: str) -> None:
    member_id = invite(alice, session_id, bob.email).json["member"]["memberId"]
    assert alice.delete("members", memberId=member_id).json["outcome"] == "withdrawn"
    assert refused(accept(bob, member_id), 404, "invitation_not_found")
    assert list(people(alice, session_id)) == ["owner"]


def test_a_session_has_a_hundred_members_and_invitations_at_most(
    alice: User, session_id: str, database: Database
) -> None:
    database.execute(
        "insert into public.session_members (session_id, email, role, expires_at)"
        " select %s, number || '@example.com', 'viewer', now() + interval '1 day' from generate_series(1, 99) number",
        (session_id,),
    )
    assert invite(alice, session_id, "100@example.com").status == 200
    assert refused(invite(alice, session_id, "101@example.com"), 409, "too_many_members")
    assert invite(alice, session_id, "100@example.com", "viewer").status == 200
    assert len(people(alice, session_id)) == 101


def test_an_idempotency_key_replays_the_invitation(alice: User, session_id: str) -> None:
    body = {"sessionId": session_id, "email": "ann@example.com", "role": "editor"}
    first = alice.post("members", body, Idempotency_Key="k-1")
    assert alice.post("members", body, Idempotency_Key="k-1").json == first.json
    other = alice.post("members", {**body, "role": "viewer"}, Idempotency_Key="k-1")
    assert refused(other, 409, "idempotency_key_reused")


# Lists


def test_the_owner_sees_everybody_and_members_see_one_another(
    alice: User, editor: User, viewer: User, session_id: str
) -> None:
    invite(alice, session_id, "invited@example.com")
    assert list(people(alice, session_id)) == ["owner", editor.email, viewer.email, "invited@example.com"]
    for person, role in ((editor, "editor"), (viewer, "viewer")):
        answer = person.get("members", sessionId=session_id).json
        assert answer["role"] == role
        found = people(person, session_id)
        assert {email: one["role"] for email, one in found.items()} == {
            "owner": "owner", editor.email: "editor", viewer.email: "viewer",
        }  # fmt: skip
        assert found["owner"]["userId"] == alice.subject


def test_the_owners_address_is_shown_where_the_project_knows_it(
    alice: User, editor: User, session_id: str, database: Database
) -> None:
    database.execute(
        "insert into auth.users (id, email, email_confirmed_at) values (%s, %s, now())", (alice.subject, alice.email)
    )
    assert people(editor, session_id)[alice.email]["role"] == "owner"


def test_invitations_are_listed_to_whom_they_are_for(
    alice: User, bob: User, new_user: NewUser, session_id: str, database: Database
) -> None:
    database.execute(
        "insert into auth.users (id, email, email_confirmed_at) values (%s, %s, now())", (alice.subject, alice.email)
    )
    member_id = invite(alice, session_id, bob.email, "viewer").json["member"]["memberId"]
    (found,) = bob.get("members").json["invitations"]
    assert (found["memberId"], found["sessionId"], found["role"]) == (member_id, session_id, "viewer")
    assert found["invitedBy"] == alice.email
    assert "A lighthouse keeper befriends a whale".startswith(found["originalPrompt"])
    for other in (alice, new_user()):
        assert other.get("members").json["invitations"] == []
    accept(bob, member_id)
    assert bob.get("members").json["invitations"] == []


def test_invitations_are_paged_newest_first(alice: User, bob: User) -> None:
    sent = []
    for _ in range(5):
        session = alice.save(storyboard(alice.subject, 1)).json["sessionId"]
        sent.append(invite(alice, session, bob.email).json["member"]["memberId"])
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while query.get("cursor", "") is not None:
        page = bob.get("members", **query).json
        seen += [one["memberId"] for one in page["invitations"]]
        query["cursor"] = page["nextCursor"]
    assert seen == sent[::-1]
    assert refused(bob.get("members", cursor="made-up"), 400, "invalid_cursor")
