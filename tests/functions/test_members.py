"""members: who else may see or edit a session, from the invitation to the departure."""

import base64
import multiprocessing
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from infra.local.keys import Keys
from infra.local.stack import Stack
from shared.settings import settings
from tests.bucket import Bucket
from tests.client import Answer, Client
from tests.membership import accept, invite, join, people
from tests.people import Claims, User
from tests.storyboards import frame, image_url, png, storyboard, with_frames

Database = psycopg.Connection[Any]
NewUser = Callable[[], User]


@pytest.fixture
def session_id(alice: User) -> str:
    """A session of Alice's, of three frames."""
    saved = alice.save(storyboard(alice.subject, 3))
    assert saved.status == 200
    return str(saved.json["sessionId"])


@pytest.fixture
def viewer(new_user: NewUser, alice: User, session_id: str) -> User:
    person = new_user()
    join(alice, session_id, person, "viewer")
    return person


@pytest.fixture
def editor(new_user: NewUser, alice: User, session_id: str) -> User:
    person = new_user()
    join(alice, session_id, person, "editor")
    return person


def refused(answer: Answer, status: int, code: str) -> bool:
    return (answer.status, answer.code) == (status, code)


def resave(person: User, session_id: str, **changes: object) -> Answer:
    """Save what the person reads, with these changes."""
    found = person.read(session_id).json
    session = {name: found["session"][name] for name in ("originalPrompt", "videoDuration", "style", "mood")}
    frames = changes.pop("frames", found["frames"])
    assert isinstance(frames, list)
    headers = {"If_Match": f'"{changes.pop("version")}"'} if "version" in changes else {}
    body = {**session, "sessionId": session_id, "frames": frames, "frameCount": len(frames), **changes}
    return person.save(body, **headers)


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


# Working together


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


# Files


@pytest.fixture
def private_bucket(database: Database, function_environment: pytest.MonkeyPatch) -> Iterator[None]:
    function_environment.setenv("BUCKET_ACCESS", "private")
    settings.cache_clear()
    database.execute("update storage.buckets set public = false where id = 'videomaker'")
    yield
    database.execute("update storage.buckets set public = true where id = 'videomaker'")


def shown(person: User, session_id: str) -> list[int]:
    """Return the statuses that the images of a session are answered with at the URLs that the person was given."""
    frames = person.read(session_id).json["frames"]
    return [httpx.get(one[name]).status_code for one in frames for name in ("imageUrl", "thumbnailUrl")]


@pytest.mark.usefixtures("private_bucket")
@pytest.mark.xdist_group("bucket")
class TestPrivateBucket:
    """BUCKET_ACCESS=private: only who may read a session gets URLs of its images."""

    @pytest.fixture
    def shared(self, alice: User, bob: User) -> str:
        """A session with an image in Alice's folder and one in Bob's, who is an editor of it."""
        first = alice.upload(png(), 1).json["imageUrl"]
        session: str = alice.save(with_frames([frame(1, first)])).json["sessionId"]
        join(alice, session, bob)
        second = bob.upload(png(width=90), 2).json["imageUrl"]
        both = [*bob.read(session).json["frames"], frame(2, second)]
        assert resave(bob, session, frames=both).status == 200
        return session

    def test_members_see_one_anothers_images(self, alice: User, bob: User, new_user: NewUser, shared: str) -> None:
        watcher = new_user()
        join(alice, shared, watcher, "viewer")
        for person in (alice, bob, watcher):
            assert shown(person, shared) == [200] * 4

    def test_images_of_who_has_gone_stay(self, alice: User, bob: User, new_user: NewUser, shared: str) -> None:
        watcher = new_user()
        join(alice, shared, watcher, "viewer")
        bob.delete("members", sessionId=shared)
        for person in (alice, watcher):
            assert shown(person, shared) == [200] * 4
        assert resave(alice, shared, mood="dark").status == 200

    def test_both_owners_see_all_images_after_handing_over(self, alice: User, bob: User, shared: str) -> None:
        member_id = people(alice, shared)[bob.email]["memberId"]
        alice.patch("members", {"memberId": member_id, "role": "owner"})
        assert shown(alice, shared) == shown(bob, shared) == [200] * 4
        alice.delete("members", sessionId=shared)
        assert shown(bob, shared) == [200] * 4
        assert resave(bob, shared, mood="dark").status == 200

    def test_who_has_gone_can_neither_see_nor_change_what_it_gave(
        self, alice: User, bob: User, shared: str, stack: Stack, database: Database
    ) -> None:
        path = database.execute(
            "select image_path from public.video_frames where session_id = %s and frame_number = 2", (shared,)
        ).fetchone()[0]  # type: ignore[index]
        before = Bucket(stack, bob, database).row(path)
        member_id = people(alice, shared)[bob.email]["memberId"]
        bob.delete("members", sessionId=shared)
        assert change_file(stack, bob, path) == [403, 0]
        assert Bucket(stack, bob, database).row(path) == before
        join(alice, shared, bob, "viewer")
        assert change_file(stack, bob, path) == [403, 0]
        member_id = people(alice, shared)[bob.email]["memberId"]
        alice.patch("members", {"memberId": member_id, "role": "editor"})
        assert change_file(stack, bob, path) == [200, 1]

    def test_a_viewer_gave_nothing_and_keeps_its_files_to_itself(
        self, alice: User, bob: User, shared: str, stack: Stack, new_user: NewUser
    ) -> None:
        """Bob shows a session of his to Alice as a viewer; that she copies an image of it does not bind him."""
        owner, copier = bob, new_user()
        url = owner.upload(png(width=80), 1).json["imageUrl"]
        original = owner.save(with_frames([frame(1, url)])).json["sessionId"]
        join(owner, original, copier, "viewer")
        copy = copier.save(with_frames([frame(1, url)]))
        assert copy.status == 200
        join(copier, copy.json["sessionId"], owner, "viewer")
        owner.delete("members", sessionId=copy.json["sessionId"])
        assert change_file(stack, owner, url.partition("/videomaker/")[2].partition("?")[0]) == [200, 1]


def change_file(stack: Stack, person: User, path: str) -> list[int]:
    """Try to replace a file and to remove it; return the status of the one, and how many the other removed."""
    base = f"{stack.info['supabaseUrl']}/storage/v1/object/videomaker"
    headers = {"apikey": stack.info["anonKey"], "Authorization": f"Bearer {person.token}"}
    image = {**headers, "content-type": "image/png"}
    replaced = httpx.put(f"{base}/{path}", content=png(width=70), headers=image)
    removed = httpx.request("DELETE", base, json={"prefixes": [path]}, headers=headers)
    return [int(replaced.json().get("statusCode", replaced.status_code)), len(removed.json())]


# A session that is not there and one of somebody else's


def without_id(answer: Answer) -> dict[str, Any]:
    return {name: value for name, value in answer.json.items() if name != "requestId"}


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
