"""Sessions that several people work on, made through the API."""

from tests.client import Answer
from tests.people import User
from tests.storyboards import JsonObject


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
