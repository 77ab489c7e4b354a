"""Credentials of a request -> the Caller that it acts for.

A signed-in user brings an access token of Supabase Auth. An API key acts for its owner, as far as its scopes go. A
guest brings nothing but its `userId`, which is its secret; it acts under a subject derived from it. Whoever opens a
share link is nobody. For the latter three a token of five minutes is signed here, so that row level security decides.
"""

import hashlib
import hmac
import ipaddress
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Final

from fastapi import Depends, Header, Request

from shared import supabase_access, usage
from shared.errors import AppError
from shared.identity.api_keys import ApiKey, Scope, find_key
from shared.identity.tokens import signed_token, verified_subject
from shared.observability import timed
from shared.rate_limits import Count, Work, admit
from shared.settings import settings
from shared.supabase_access import Access

GUEST_PREFIX: Final = "guest_"

_GUEST_ID: Final = re.compile(r"guest_[A-Za-z0-9_-]{22,64}")  # 22 characters of base64 hold 128 bits
_SCOPES: Final[Mapping[Work, Scope]] = {"read": "read", "write": "write", "upload": "write", "render": "render"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: `user_id` is what the client calls itself, `subject` what the database knows it by (a UUID)."""

    user_id: str
    subject: str
    token: str
    is_guest: bool = False
    named_itself: bool = True
    """False for a guest whose id was minted just now."""
    key: ApiKey | None = None
    """The API key that acts for the user."""
    counted_as: Mapping[str, str] = field(default_factory=dict)
    """Under which name each policy of the rate limits counts the caller."""
    count: Count | None = None
    """Set where the request is still to be counted."""

    @property
    def folder(self) -> str | None:
        """The folder for its files; None for a client that does not know yet who it will be."""
        return self.subject if self.named_itself else None

    def access(self) -> Access:
        """Return Postgres and Storage as this caller sees them."""
        return supabase_access.as_caller(self.token, "ours" if self.is_guest or self.key else "callers")


class Credentials:
    """What came in the headers, and from where. `caller()` judges it together with the `userId` of body or query."""

    def __init__(
        self, authorization: str | None, api_key: str | None, *, work: Work = "write", address: str = ""
    ) -> None:
        self._authorization = authorization
        self._api_key = api_key
        self._work: Work = work
        self._address = address

    def caller(
        self, user_id: str | None, needs: Work | None = None, *, by_key: bool = True, counted_with_reading: bool = False
    ) -> Caller:
        """Return the caller; raises 401 for bad credentials and `user_mismatch` for somebody else's `userId`.

        `needs` is the kind of work that is asked for; without it a GET reads and every other method writes. An API key
        must have its scope, or `insufficient_scope` is raised; and it is what `rate_limited` counts. Where `by_key` is
        false no scope will do: this is for the user itself. Of a reader that is `counted_with_reading` the caller's
        `count` may be left to do.
        """
        if self._api_key and not by_key:
            raise AppError("insufficient_scope", "No scope lets an API key do this. Send an access token instead.")
        with timed("auth"):
            found = self._judged(user_id)
        usage.attribute(lambda: found.token)
        work = needs or self._work
        count = admit(found.access(), found.counted_as, work, with_reading=counted_with_reading)
        if found.key and _SCOPES[work] not in found.key.scopes:
            raise AppError("insufficient_scope", extra={"scope": _SCOPES[work]})
        return replace(found, count=count) if count else found

    def token(self) -> str:
        """Return by whose token a request is told that was refused before it was judged who asks."""
        try:
            found = self._judged(None) if self._authorization or self._api_key else None
            return found.token if found and found.named_itself else nobody()
        except AppError:
            return nobody()

    def _judged(self, user_id: str | None) -> Caller:
        if self._api_key:
            return _acted_for(find_key(self._api_key), user_id)
        token = self._bearer()
        return _guest(user_id, self._address) if token is None else _signed_in(token, user_id)

    def _bearer(self) -> str | None:
        if not self._authorization:
            return None
        scheme, _, token = self._authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise AppError("invalid_token", "Send `Authorization: Bearer <access token>`.")
        # Clients of Supabase send the project's public key while nobody is signed in.
        if token == settings().anon_key or token.startswith("sb_publishable_"):
            return None
        return token


# A coroutine, because FastAPI starts a thread for what is none.
async def credentials(
    request: Request,
    authorization: Annotated[str | None, Header(description="Bearer access token of Supabase Auth")] = None,
    x_api_key: Annotated[
        str | None, Header(description="API key, which counts before an access token", examples=["vm_…"])
    ] = None,
) -> Credentials:
    """Return the request's credentials, not judged yet."""
    work: Work = "read" if request.method in ("GET", "HEAD") else "write"
    found = Credentials(authorization, x_api_key, work=work, address=address_of(request))
    usage.attribute(found.token)
    return found


RequestCredentials = Annotated[Credentials, Depends(credentials)]


def guest_subject(user_id: str) -> str:
    """Return the UUID that stands for a guest in the database and in folder names; it does not give the id away."""
    return str(uuid.UUID(bytes=_digest(user_id)[:16], version=5))


def share_visitor(token_hash: str) -> Access:
    """Return access for whoever opened the share link of this hash: to nothing but what the link shows."""
    token = signed_token({"provider": "share", "share": token_hash})
    usage.attribute(lambda: token)
    return supabase_access.as_caller(token, "ours")


def nobody() -> str:
    """Return a token that opens nothing: what is told by it is nobody's. Raises `not_configured`."""
    return signed_token({"provider": "nobody"})


usage.attribute_others(nobody)


def _signed_in(token: str, user_id: str | None) -> Caller:
    subject = verified_subject(token)
    _check_user_id(user_id, subject)
    return Caller(user_id=subject, subject=subject, token=token, counted_as={"user": subject})


def _acted_for(key: ApiKey, user_id: str | None) -> Caller:
    _check_user_id(user_id, key.owner)
    token = signed_token(key.token_claims, sub=key.owner)
    return Caller(key.owner, key.owner, token, key=key, counted_as={"user": key.owner, "key": key.prefix})


def _guest(user_id: str | None, address: str) -> Caller:
    if not settings().guest_access:
        raise AppError("authentication_required")
    if user_id is not None and not _GUEST_ID.fullmatch(user_id):
        raise AppError(
            "user_mismatch",
            "Without a token `userId` must be a guest's id. Leave it out to get one, or sign in as that user.",
        )
    chosen = user_id or GUEST_PREFIX + secrets.token_hex(16)
    subject, hashed = guest_subject(chosen), _digest(f"address:{address}").hex()
    token = signed_token({"provider": "guest", "address": hashed}, sub=subject, is_anonymous=True)
    return Caller(
        user_id=chosen,
        subject=subject,
        token=token,
        is_guest=True,
        named_itself=user_id is not None,
        counted_as={"guest": subject, "address": hashed},
    )


def _check_user_id(user_id: str | None, subject: str) -> None:
    if user_id is not None and user_id != subject:
        raise AppError("user_mismatch")


def _digest(text: str) -> bytes:
    return hmac.new((settings().guest_secret or "").encode(), text.encode(), hashlib.sha256).digest()


def address_of(request: Request) -> str:
    """Return where the request comes from, of IPv6 the network that one household or machine has for itself."""
    source = request.client.host if request.client else ""
    proxies = settings().trusted_proxies
    if proxies:
        # Each proxy appends whom it was asked by. What stands before those was written by the client.
        named = [one.strip() for one in request.headers.get("x-forwarded-for", "").split(",")]
        named = named[:-1] if named[-1] == source else named
        source = named[-proxies] if len(named) >= proxies else source
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or ipaddress.IPv6Network((address, 64), strict=False).network_address
    return str(address)
