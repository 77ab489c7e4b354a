"""Credentials of a request -> the Caller that it acts for.

A signed-in user brings an access token of Supabase Auth. A guest brings nothing but its `userId`, which is its secret;
it acts under a subject derived from it, with a token of five minutes that is signed here. Whoever opens a share link is
nobody: the token that is signed for it names the link, and has no subject.
"""

import hashlib
import hmac
import re
import secrets
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import jwt
from fastapi import Depends, Header

from shared import supabase_access
from shared.errors import AppError
from shared.observability import timed
from shared.settings import settings
from shared.supabase_access import Access

GUEST_PREFIX: Final = "guest_"

_GUEST_ID: Final = re.compile(r"guest_[A-Za-z0-9_-]{22,64}")  # 22 characters of base64 hold 128 bits
_ASYMMETRIC: Final = {"ES256": "EC", "RS256": "RSA"}
_AUDIENCE: Final = "authenticated"
_JWKS_SECONDS: Final = 600
_REFETCH_SECONDS: Final = 5  # between two fetches for unknown key ids, which anybody can make up
_TOKEN_SECONDS: Final = 300  # of the tokens that are signed here


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: `user_id` is what the client calls itself, `subject` what the database knows it by (a UUID)."""

    user_id: str
    subject: str
    token: str
    is_guest: bool = False
    named_itself: bool = True
    """False for a guest whose id was minted just now."""

    @property
    def folder(self) -> str | None:
        """The folder for its files; None for a client that does not know yet who it will be."""
        return self.subject if self.named_itself else None

    def access(self) -> Access:
        """Return Postgres and Storage as this caller sees them."""
        return supabase_access.as_caller(self.token)


class Credentials:
    """What came in the headers. `caller()` judges it together with the `userId` of the body or query."""

    def __init__(self, authorization: str | None, api_key: str | None) -> None:
        self._authorization = authorization
        self._api_key = api_key

    def caller(self, user_id: str | None) -> Caller:
        """Return the caller; raises 401 for bad credentials and `user_mismatch` for somebody else's `userId`."""
        with timed("auth"):
            if self._api_key:
                raise AppError("invalid_api_key")
            token = self._bearer()
            return _guest(user_id) if token is None else _signed_in(token, user_id)

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


def credentials(
    authorization: Annotated[str | None, Header(description="Bearer access token of Supabase Auth")] = None,
    x_api_key: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Credentials:
    """Return the request's credentials, not judged yet."""
    return Credentials(authorization, x_api_key)


RequestCredentials = Annotated[Credentials, Depends(credentials)]


def guest_subject(user_id: str) -> str:
    """Return the UUID that stands for a guest in the database and in folder names; it does not give the id away."""
    digest = hmac.new(_guest_secret(), user_id.encode(), hashlib.sha256).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def _signed_in(token: str, user_id: str | None) -> Caller:
    subject = _verified_subject(token)
    if user_id is not None and user_id != subject:
        raise AppError("user_mismatch")
    return Caller(user_id=subject, subject=subject, token=token)


def _guest(user_id: str | None) -> Caller:
    if not settings().guest_access:
        raise AppError("authentication_required")
    if user_id is not None and not _GUEST_ID.fullmatch(user_id):
        raise AppError(
            "user_mismatch",
            "Without a token `userId` must be a guest's id. Leave it out to get one, or sign in as that user.",
        )
    chosen = user_id or GUEST_PREFIX + secrets.token_hex(16)
    subject = guest_subject(chosen)
    return Caller(chosen, subject, _guest_token(subject), is_guest=True, named_itself=user_id is not None)


def share_visitor(token_hash: str) -> Access:
    """Return access for whoever opened the share link of this hash: to nothing but what the link shows."""
    return supabase_access.as_caller(_signed({"app_metadata": {"provider": "share", "share": token_hash}}))


def _guest_token(subject: str) -> str:
    return _signed({"sub": subject, "is_anonymous": True, "app_metadata": {"provider": "guest"}})


def _signed(claims: Mapping[str, object]) -> str:
    secret = settings().jwt_secret
    if not secret:
        raise AppError("not_configured", "SUPABASE_JWT_SECRET is not set.")
    now = int(time.time())
    common = {
        "role": "authenticated",
        "aud": _AUDIENCE,
        "iss": settings().jwt_issuer,
        "iat": now,
        "exp": now + _TOKEN_SECONDS,
    }
    return jwt.encode({**common, **claims}, secret, algorithm="HS256")


def _guest_secret() -> bytes:
    return (settings().guest_secret or "").encode()


def _verified_subject(token: str) -> str:
    try:
        header = jwt.get_unverified_header(token)
        algorithm = str(header.get("alg"))
        claims = jwt.decode(
            token,
            key=_key_for(algorithm, header.get("kid")),
            algorithms=[algorithm],
            audience=_AUDIENCE,
            issuer=settings().jwt_issuer,
            options={"require": ["exp", "aud", "iss", "sub", "role"], "verify_iat": False},
        )
    except jwt.ExpiredSignatureError as error:
        raise AppError("token_expired") from error
    except jwt.PyJWTError as error:
        raise AppError("invalid_token") from error
    if claims["role"] != "authenticated":
        raise AppError("invalid_token", "Send the access token of a signed-in user.")
    try:
        return str(uuid.UUID(claims["sub"]))
    except ValueError as error:
        raise AppError("invalid_token") from error


def _key_for(algorithm: str, key_id: object) -> Any:
    """Return the key that this algorithm must be verified with: never a public key for HMAC, nor any for `none`."""
    if algorithm == "HS256" and settings().jwt_secret:
        return settings().jwt_secret
    kind = _ASYMMETRIC.get(algorithm)
    if kind is None or not isinstance(key_id, str):
        raise AppError("invalid_token")
    key = _key_set.get(key_id)
    if key is None or key.key_type != kind:
        raise AppError("invalid_token")
    return key.key


class _KeySet:
    """The project's public keys, fetched anew every ten minutes and for a key id that is not among them."""

    def __init__(self) -> None:
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = float("-inf")
        self._lock = threading.Lock()

    def get(self, key_id: str) -> jwt.PyJWK | None:
        with self._lock:
            age = time.monotonic() - self._fetched
            if age > _JWKS_SECONDS or (key_id not in self._keys and age > _REFETCH_SECONDS):
                self._fetch()
            return self._keys.get(key_id)

    def _fetch(self) -> None:
        found = supabase_access.fetch_jwks()
        usable = [one for one in found.get("keys", []) if one.get("kty") in _ASYMMETRIC.values()]
        self._keys = {str(one.get("kid")): jwt.PyJWK(one) for one in usable}
        self._fetched = time.monotonic()


_key_set = _KeySet()
