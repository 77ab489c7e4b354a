"""Keys by which programs act for a signed-in user: issues, lists and revokes them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Header, Query
from mangum import Mangum
from pydantic import AfterValidator, Field

from shared.errors import AppError
from shared.identity import Caller, Credentials, RequestCredentials
from shared.identity.api_keys import Scope, new_key
from shared.models import Model, Name, Success, Text, UserId
from shared.moments import Moment
from shared.paging import cursor_behind, key_behind
from shared.web import checked_idempotency_key, create_app, request_hash

app = create_app("api_keys", "Keys for outside integrations")

LIST: Final = "api_keys"
LAST_YEAR: Final = 9998


def _in_the_future(moment: datetime) -> datetime:
    if not datetime.now(UTC) < moment or moment.year > LAST_YEAR:
        raise ValueError("must lie in the future")
    return moment


class Wish(Model):
    """A key to be issued. Without `expiresAt` it is valid until it is revoked."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)]
    expires_at: Annotated[Moment, AfterValidator(_in_the_future)] | None = None
    user_id: UserId | None = None


class ApiKey(Model):
    """A key as lists show it: by the part that names it, never by its secret."""

    prefix: str
    name: str
    scopes: list[Scope]
    expires_at: str | None
    last_used_at: Annotated[str | None, Field(description="To about a minute")]
    created_at: str


class Issued(Success):
    """A new key. `key` is what to send as `X-Api-Key`: shown this once, and null where the request is repeated."""

    api_key: ApiKey
    key: str | None


class ApiKeys(Success):
    """The caller's keys, newest first."""

    api_keys: list[ApiKey]
    next_cursor: str | None


class Revoked(Success):
    """The key that is no longer one."""

    prefix: str


@app.post("/", summary="Issue a key")
def issue(
    wish: Wish, credentials: RequestCredentials, idempotency_key: Annotated[str | None, Header()] = None
) -> Issued:
    """Return a new key, of which only the SHA-256 is kept: this answer is the only one that shows it."""
    caller = _signed_in(credentials, wish.user_id)
    repeatable = checked_idempotency_key(idempotency_key)
    made = new_key()
    row = caller.access().rpc(
        "issue_api_key",
        {
            "p_prefix": made.prefix,
            "p_key_hash": made.hash,
            "p_name": wish.name,
            "p_scopes": sorted(set(wish.scopes)),
            "p_expires_at": wish.expires_at.isoformat() if wish.expires_at else None,
            "p_idempotency_key": repeatable,
            "p_request_hash": request_hash(wish) if repeatable else None,
        },
    )
    return Issued(api_key=_api_key(row), key=made.text if row["prefix"] == made.prefix else None)


@app.get("/", summary="List the keys")
def list_keys(
    credentials: RequestCredentials,
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> ApiKeys:
    """Return the caller's keys, newest first, with when each was last used."""
    caller = _signed_in(credentials, user_id)
    before = key_behind(LIST, cursor, int)[0] if cursor else None
    rows = caller.access().rpc("list_api_keys", {"p_limit": limit + 1, "p_before": before})
    page = rows[:limit]
    more = cursor_behind(LIST, page[-1]["id"]) if len(rows) > limit else None
    return ApiKeys(api_keys=[_api_key(row) for row in page], next_cursor=more)


@app.delete("/", summary="Revoke a key")
def revoke(
    credentials: RequestCredentials,
    prefix: Annotated[Text, Query(min_length=1, max_length=64)],
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
) -> Revoked:
    """End a key at once and for good."""
    caller = _signed_in(credentials, user_id)
    caller.access().rpc("revoke_api_key", {"p_prefix": prefix})
    return Revoked(prefix=prefix)


def _signed_in(credentials: Credentials, user_id: str | None) -> Caller:
    caller = credentials.caller(user_id, by_key=False)
    if caller.is_guest:
        raise AppError("authentication_required")
    return caller


def _api_key(row: dict[str, Any]) -> ApiKey:
    return ApiKey.model_validate(row)


handler = Mangum(app, lifespan="off")
