"""Makes, lists and revokes share links: addresses at which anybody who has one may watch a session's video."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Header, Query
from mangum import Mangum
from pydantic import Field, StringConstraints, model_validator

from shared.errors import AppError
from shared.identity import Caller, Credentials, RequestCredentials
from shared.models import FieldError, Model, SessionId, Success, Text, UserId
from shared.moments import Moment
from shared.paging import cursor_behind, key_behind
from shared.shares import key_hash, password_key, sealed, token_hash, token_of, watch_url
from shared.web import checked_idempotency_key, create_app, request_hash

app = create_app("share", "Make, list and revoke share links")

MAX_SECONDS: Final = 10 * 366 * 86_400
LIST: Final = "shares"


class ShareInput(Model):
    """What to share: a session's newest video, or the one of `videoId`; and what limits it."""

    session_id: SessionId
    video_id: UUID | None = None
    password: Annotated[Text, StringConstraints(min_length=1, max_length=200)] | None = None
    expires_at: Moment | None = None
    expires_in: Annotated[int, Field(ge=1, le=MAX_SECONDS, description="Seconds")] | None = None
    max_views: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    user_id: UserId | None = None

    @model_validator(mode="after")
    def _ends_once_and_later(self) -> "ShareInput":
        if self.expires_at is not None:
            if self.expires_in is not None:
                raise FieldError("expiresIn", "give either `expiresAt` or `expiresIn`")
            now = datetime.now(UTC)
            if not now < self.expires_at <= now + timedelta(seconds=MAX_SECONDS):
                raise FieldError("expiresAt", "must lie in the future, and within ten years")
        return self

    @property
    def ends(self) -> datetime | None:
        """When the link shall end."""
        return datetime.now(UTC) + timedelta(seconds=self.expires_in) if self.expires_in else self.expires_at


class ShareLink(Model):
    """A link and its state; its address is told once, when it is made."""

    share_id: str
    session_id: str
    video_id: Annotated[str | None, Field(description="Null: always the newest completed one")]
    has_password: bool
    expires_at: str | None
    max_views: int | None
    views: Annotated[int, Field(description="A viewer who comes again within an hour counts once")]
    last_viewed_at: str | None
    revoked_at: str | None
    created_at: str
    state: Literal["active", "expired", "used_up", "revoked"]


class NewShareLink(ShareLink, Success):
    """A link that was just made. Keep `url`: the service itself knows only a hash of its token."""

    token: str
    url: str


class RevokedShareLink(ShareLink, Success):
    """A link that shows nothing any more."""


class ShareLinks(Success):
    """A page of a session's links, newest first."""

    shares: list[ShareLink]
    next_cursor: str | None = None


@app.post("/", summary="Make a share link")
def create_share(
    body: ShareInput, credentials: RequestCredentials, idempotency_key: Annotated[str | None, Header()] = None
) -> NewShareLink:
    """Return a new link to a session's video; the same `Idempotency-Key` and body return the same link again."""
    caller = _signed_in(credentials, body.user_id)
    key = checked_idempotency_key(idempotency_key)
    base = watch_url()
    nonce = secrets.token_hex(16)
    row = caller.access().rpc(
        "create_share",
        {
            "p_share": _row(body, token_of(nonce)),
            "p_nonce": nonce,
            "p_idempotency_key": key,
            "p_request_hash": _request_hash(body) if key else None,
        },
    )
    token = token_of(row["nonce"])
    return NewShareLink(**_facts(row), token=token, url=f"{base}/{token}")


@app.get("/", summary="List the share links of a session")
def list_shares(
    credentials: RequestCredentials,
    session_id: Annotated[SessionId, Query(alias="sessionId")],
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query()] = None,
) -> ShareLinks:
    """Return the links of a session that the caller may edit, ended ones too, never their tokens."""
    caller = _signed_in(credentials, user_id)
    before = key_behind(LIST, cursor, int)[0] if cursor else None
    asked = {"p_session_id": session_id, "p_before": before, "p_limit": limit + 1}
    rows = caller.access().rpc("list_shares", asked)
    return ShareLinks(
        shares=[ShareLink(**_facts(row)) for row in rows[:limit]],
        next_cursor=cursor_behind(LIST, rows[limit - 1]["id"]) if len(rows) > limit else None,
    )


@app.delete("/", summary="Revoke a share link")
def revoke_share(
    credentials: RequestCredentials,
    share_id: Annotated[UUID, Query(alias="shareId")],
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
) -> RevokedShareLink:
    """Return the link, which is closed from now on; a repeat changes nothing."""
    caller = _signed_in(credentials, user_id)
    return RevokedShareLink(**_facts(caller.access().rpc("revoke_share", {"p_share_id": str(share_id)})))


def _signed_in(credentials: Credentials, user_id: str | None) -> Caller:
    caller = credentials.caller(user_id)
    if caller.is_guest:
        raise AppError("authentication_required", "Guests cannot share. Send the access token of a signed-in user.")
    return caller


def _row(body: ShareInput, token: str) -> dict[str, Any]:
    return {
        "session_id": body.session_id,
        "video_id": str(body.video_id) if body.video_id else None,
        "token_hash": token_hash(token),
        "password_hash": key_hash(password_key(token, body.password)) if body.password else None,
        "expires_at": body.ends.isoformat() if body.ends else None,
        "max_views": body.max_views,
    }


def _request_hash(body: ShareInput) -> str:
    """Return what the request means, the password in a form that the stored hash gives no hold on."""
    return request_hash(body.model_copy(update={"password": sealed(body.password)}) if body.password else body)


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ShareLink.model_fields}


handler = Mangum(app, lifespan="off")
