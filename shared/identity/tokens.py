"""Access tokens: who a user's is about, and those that are signed here.

`jwt` brings all of `cryptography`, a sixth of a cold start, and so is imported where it is first needed: for a user's
token while the project's keys are on their way.
"""

import base64
import json
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from shared import supabase_access
from shared.errors import AppError
from shared.settings import settings

if TYPE_CHECKING:
    from jwt import PyJWK

_ASYMMETRIC: Final = {"ES256": "EC", "RS256": "RSA"}
_AUDIENCE: Final = "authenticated"
_JWKS_SECONDS: Final = 600
_REFETCH_SECONDS: Final = 5  # between two fetches for unknown key ids, which anybody can make up
_TOKEN_SECONDS: Final = 300
_MOST_VERIFIED: Final = 256


def verified_subject(token: str) -> str:
    """Return the UUID of the user whom this access token is about; raises `invalid_token` and `token_expired`."""
    header = _header(token)
    algorithm = str(header.get("alg"))
    subject, expiry = _verified(token, algorithm, _key_for(algorithm, header.get("kid")), settings().jwt_issuer)
    if expiry <= time.time():
        raise AppError("token_expired")
    return subject


@lru_cache(maxsize=_MOST_VERIFIED)
def _verified(token: str, algorithm: str, key: "PyJWK | str", issuer: str) -> tuple[str, int]:
    """Return the subject of a token that this key has signed, and when it expires, in seconds since 1970.

    A client sends its token again and again: it is verified once by each key, which are other ones once fetched anew.
    """
    import jwt  # noqa: PLC0415

    try:
        claims = jwt.decode(
            token,
            key=key if isinstance(key, str) else key.key,
            algorithms=[algorithm],
            audience=_AUDIENCE,
            issuer=issuer,
            options={"require": ["exp", "aud", "iss", "sub", "role"], "verify_iat": False},
        )
    except jwt.ExpiredSignatureError as error:
        raise AppError("token_expired") from error
    except jwt.PyJWTError as error:
        raise AppError("invalid_token") from error
    if claims["role"] != "authenticated":
        raise AppError("invalid_token", "Send the access token of a signed-in user.")
    try:
        return str(uuid.UUID(claims["sub"])), int(claims["exp"])
    except ValueError as error:
        raise AppError("invalid_token") from error


def _header(token: str) -> dict[str, object]:
    """Return what a token says of itself, not verified."""
    encoded = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError) as error:
        raise AppError("invalid_token") from error
    if not isinstance(header, dict):
        raise AppError("invalid_token")
    return header


def signed_token(app_metadata: Mapping[str, str], **claims: object) -> str:
    """Return a token of five minutes by which the database knows for whom we ask. It never leaves the service."""
    import jwt  # noqa: PLC0415

    now = int(time.time())
    common = {
        "role": "authenticated",
        "aud": _AUDIENCE,
        "iss": settings().jwt_issuer,
        "iat": now,
        "exp": now + _TOKEN_SECONDS,
        "app_metadata": dict(app_metadata),
    }
    key, algorithm, key_id = _signing_key(settings().signing_key, settings().jwt_secret)
    return jwt.encode({**common, **claims}, key, algorithm=algorithm, headers={"kid": key_id} if key_id else None)


@lru_cache(maxsize=1)
def _signing_key(jwk: str | None, secret: str | None) -> tuple[Any, str, str | None]:
    """Return key, algorithm and key id: those of the private JWK, else the legacy secret."""
    if jwk:
        import jwt  # noqa: PLC0415

        try:
            found = jwt.PyJWK.from_json(jwk)
            kind, is_private = _ASYMMETRIC.get(found.algorithm_name), hasattr(found.key, "private_numbers")
        except (jwt.PyJWTError, ValueError, AttributeError) as error:
            raise AppError("not_configured", "SUPABASE_SIGNING_KEY is no JWK.") from error
        if kind is None or not is_private or not found.key_id:
            raise AppError("not_configured", "SUPABASE_SIGNING_KEY must be a private ES256 or RS256 key with a `kid`.")
        return found.key, found.algorithm_name, found.key_id
    if not secret:
        raise AppError("not_configured", "SUPABASE_SIGNING_KEY or SUPABASE_JWT_SECRET must be set.")
    return secret, "HS256", None


def _key_for(algorithm: str, key_id: object) -> "PyJWK | str":
    """Return the key that this algorithm must be verified with: never a public key for HMAC, nor any for `none`."""
    secret = settings().jwt_secret
    if algorithm == "HS256" and secret:
        return secret
    kind = _ASYMMETRIC.get(algorithm)
    if kind is None or not isinstance(key_id, str):
        raise AppError("invalid_token")
    key = _key_set.get(key_id)
    if key is None or key.key_type != kind:
        raise AppError("invalid_token")
    return key


class _KeySet:
    """The project's public keys, fetched anew every ten minutes and for a key id that is not among them."""

    def __init__(self) -> None:
        self._keys: dict[str, PyJWK] = {}
        self._fetched = float("-inf")
        self._lock = threading.Lock()

    def get(self, key_id: str) -> "PyJWK | None":
        with self._lock:
            age = time.monotonic() - self._fetched
            if age > _JWKS_SECONDS or (key_id not in self._keys and age > _REFETCH_SECONDS):
                self._fetch()
            return self._keys.get(key_id)

    def _fetch(self) -> None:
        with ThreadPoolExecutor(1) as aside:
            fetched = aside.submit(copy_context().run, supabase_access.fetch_jwks)
            from jwt import PyJWK  # noqa: PLC0415

            found = fetched.result()
        usable = [one for one in found.get("keys", []) if one.get("kty") in _ASYMMETRIC.values()]
        self._keys = {str(one.get("kid")): PyJWK(one) for one in usable}
        self._fetched = time.monotonic()


_key_set = _KeySet()
