"""Sessions that several people work on, made through the API."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.client import Answer
from tests.people import User
from tests.storyboards import JsonObject, storyboard

NewUser = Callable[[], User]


def invite(owner: User, session_id: str, email: str, role: str = "editor") -> Answer:
    return owner.post("members", {"sessionId": session_id, "email": email, "role": role})


def accept(invited: User, member_id: str) -> Answer:
    return invited.post("members", {"memberId": member_id})


def join(owner: User, session_id: str, person: User, role: str = "editor") -> str:
    """Make the person a member, and return its `memberId`."""
    invited = invite(owner, session_id, person.email, role)
    assert invited.status == 200, invited.body
    member_id: str = invited.json["member"]["memberId"]
    assert accept(person, member_id).status == 200
    return member_id


def people(person: User, session_id: str) -> dict[str, JsonObject]:
    """Return the people of a session by their addresses, as this person sees them; the owner's is unknown here."""
    answer = person.get("members", sessionId=session_id)
    assert answer.status == 200, answer.body
    return {one["email"] or "owner": one for one in answer.json["members"]}


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


def without_id(answer: Answer) -> dict[str, Any]:
    """Return what an answer says, without the id of its request."""
    return {name: value for name, value in answer.json.items() if name != "requestId"}
