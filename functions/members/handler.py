"""Who else may see or edit a session: invitations by e-mail, roles, leaving, and handing a session over."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from fastapi import Header, Query
from mangum import Mangum
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from shared.errors import AppError
from shared.identity import Caller, Credentials, RequestCredentials
from shared.models import FieldError, Model, Role, SessionId, Success, Text, UserId
from shared.paging import cursor_behind, key_behind
from shared.web import checked_idempotency_key, create_app, request_hash

app = create_app("members", "Who else may see or edit a session")

MOST_INVITATIONS: Final = 100

_ADDRESS: Final = re.compile(r'[^\s@"(),:;<>[\]\\]{1,64}@[^\s@"(),:;<>[\]\\]+')


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError("must be one e-mail address, as in ann@example.com")
    return text


class Invitation(Model):
    """An invitation to send (`sessionId`, `email`, `role`), or with `memberId` alone one to accept."""

    session_id: SessionId | None = None
    email: Annotated[
        Text, StringConstraints(strip_whitespace=True, to_lower=True, max_length=254), AfterValidator(_address)
    ] | None = None  # fmt: skip
    role: Literal["editor", "viewer"] | None = None
    member_id: UUID | None = None
    user_id: UserId | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        given = {name: getattr(self, name) is not None for name in ("session_id", "email", "role")}
        if self.member_id is not None:
            if any(given.values()):
                raise FieldError("memberId", "goes alone, to accept an invitation")
        elif missing := [name for name, there in given.items() if not there]:
            raise FieldError({"session_id": "sessionId"}.get(missing[0], missing[0]), "is needed to invite somebody")
        return self


class Change(Model):
    """A member's new role; `owner` hands the session over, and makes the owner an editor."""

    member_id: UUID
    role: Role
    user_id: UserId | None = None


class Member(Model):
    """One person of a session. `memberId` names the invitation, and the membership it becomes; an owner has none."""

    member_id: str | None = None
    user_id: Annotated[str | None, Field(description="Null until the invitation is accepted")]
    email: str | None
    role: Role
    status: Literal["accepted", "invited", "declined", "expired"]
    created_at: Annotated[str | None, Field(description="When it was invited")] = None
    expires_at: Annotated[str | None, Field(description="Of the invitation")] = None
    joined_at: str | None = None


class Members(Success):
    """The people of a session, the owner first. Invitations are shown to the owner only."""

    session_id: str
    role: Annotated[Role, Field(description="What the caller is here")]
    members: list[Member]


class OneMember(Success):
    """An invitation sent, or accepted."""

    session_id: str
    member: Member


class ReceivedInvitation(Model):
    """An invitation to the caller."""

    member_id: str
    session_id: str
    role: Role
    invited_by: Annotated[str | None, Field(description="The e-mail address of who invited")]
    original_prompt: Annotated[str, Field(description="Its first 200 characters")]
    created_at: str
    expires_at: str


class ReceivedInvitations(Success):
    """Open invitations to the address that the caller is signed in with, newest first."""

    invitations: list[ReceivedInvitation]
    next_cursor: str | None = None


class Departure(Success):
    """How a membership or an invitation ended."""

    outcome: Literal["removed", "left", "withdrawn", "declined"]


@app.get("/", summary="List the members of a session, or the invitations to the caller")
def list_members(
    credentials: RequestCredentials,
    session_id: Annotated[SessionId | None, Query(alias="sessionId")] = None,
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_INVITATIONS)] = MOST_INVITATIONS,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Members | ReceivedInvitations:
    """Return the people of a session (never more than 101, so not paged); without `sessionId` open invitations."""
    caller = _signed_in(credentials, user_id)
    if session_id is not None:
        return _members(session_id, caller.access().rpc("list_members", {"p_session_id": session_id}))
    before = key_behind("invitations", cursor, int)[0] if cursor else None
    rows = caller.access().rpc("list_invitations", {"p_before": before, "p_limit": limit + 1})
    page = rows[:limit]
    return ReceivedInvitations(
        invitations=[ReceivedInvitation.model_validate(row) for row in page],
        next_cursor=cursor_behind("invitations", page[-1]["id"]) if len(rows) > limit else None,
    )


@app.post("/", summary="Invite somebody, or accept an invitation")
def invite_or_accept(
    body: Invitation, credentials: RequestCredentials, idempotency_key: Annotated[str | None, Header()] = None
) -> OneMember:
    """Return the invitation, or the membership. No e-mail is sent: the app tells the invited of its `memberId`."""
    caller = _signed_in(credentials, body.user_id)
    key = checked_idempotency_key(idempotency_key)
    if body.member_id is not None:
        row = caller.access().rpc("accept_invitation", {"p_id": str(body.member_id)})
    else:
        row = caller.access().rpc(
            "invite_member",
            {
                "p_session_id": body.session_id,
                "p_email": body.email,
                "p_role": body.role,
                "p_idempotency_key": key,
                "p_request_hash": request_hash(body) if key else None,
            },
        )
    return OneMember(session_id=row["session_id"], member=_member(row))


@app.patch("/", summary="Change a member's role, or hand the session over")
def change_member(body: Change, credentials: RequestCredentials) -> Members:
    """Return the people of the session as they are then. Only its owner can do this."""
    caller = _signed_in(credentials, body.user_id)
    found = caller.access().rpc("change_member", {"p_id": str(body.member_id), "p_role": body.role})
    return _members(found["session_id"], found)


@app.delete("/", summary="Remove a member, leave, withdraw or decline an invitation")
def remove_member(
    credentials: RequestCredentials,
    member_id: Annotated[UUID | None, Query(alias="memberId")] = None,
    session_id: Annotated[SessionId | None, Query(alias="sessionId")] = None,
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
) -> Departure:
    """Return what it came to. `memberId` names whom to remove; with `sessionId` instead the caller leaves."""
    caller = _signed_in(credentials, user_id)
    if (member_id is None) == (session_id is None):
        named = [{"path": "memberId", "message": "send this to remove somebody, or `sessionId` to leave; one of both"}]
        raise AppError("validation_failed", errors=named)
    if member_id is not None:
        return Departure(outcome=caller.access().rpc("remove_member", {"p_id": str(member_id)}))
    return Departure(outcome=caller.access().rpc("leave_session", {"p_session_id": session_id}))


def _signed_in(credentials: Credentials, user_id: str | None) -> Caller:
    caller = credentials.caller(user_id)
    if caller.is_guest:
        raise AppError(
            "authentication_required", "Guests' sessions are private. Send the access token of a signed-in user."
        )
    return caller


def _members(session_id: str, found: dict[str, Any]) -> Members:
    return Members(session_id=session_id, role=found["role"], members=[_member(row) for row in found["members"]])


def _member(row: dict[str, Any]) -> Member:
    late = row["status"] == "invited" and datetime.fromisoformat(row["expires_at"]) < datetime.now(UTC)
    return Member.model_validate(row | ({"status": "expired"} if late else {}))


handler = Mangum(app, lifespan="off")
