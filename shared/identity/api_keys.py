"""API keys, `vm_<prefix>_<secret>`: how one is made, and whom one acts for."""

import hashlib
import json
import re
import secrets
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from shared import cache, supabase_access
from shared.errors import AppError
from shared.identity.tokens import signed_token

Scope = Literal["read", "write", "render"]

_KEY: Final = re.compile(r"vm_([a-z0-9]{12})_[A-Za-z0-9]{43}")
_LETTERS: Final = string.ascii_letters + string.digits  # 43 of them hold 256 bits
_KNOWN_SECONDS: Final = 60
_MOST_KNOWN: Final = 1000


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that nobody has yet: its text is shown once, prefix and hash are kept."""

    text: str
    prefix: str
    hash: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that was issued: whose it is, and what it may be used for."""

    prefix: str
    owner: str
    scopes: frozenset[str]
    expires_at: float | None
    """Seconds since 1970."""

    @property
    def token_claims(self) -> Mapping[str, str]:
        """What a token's app_metadata says of it; the database reads the rest from its own row."""
        return {"provider": "api_key", "key": self.prefix}


def new_key() -> NewKey:
    """Return a new random key."""
    prefix = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(12))
    text = f"vm_{prefix}_{''.join(secrets.choice(_LETTERS) for _ in range(43))}"
    return NewKey(text, prefix, _hash(text))


def find_key(text: str) -> ApiKey:
    """Return the key of this text; raises `invalid_api_key` and `api_key_expired`.

    It is remembered for a minute, in Redis for one more. What a key that is revoked meanwhile asks for, the database
    refuses at once: it looks at the key's row each time.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        raise AppError("invalid_api_key")
    hashed = _hash(text)
    found, until = _known.get(hashed, (None, 0.0))
    if found is None or until < time.monotonic():
        found = _kept(match[1], hashed)
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[hashed] = found, time.monotonic() + _KNOWN_SECONDS
    if found.expires_at is not None and found.expires_at <= time.time():
        raise AppError("api_key_expired")
    return found


_known: dict[str, tuple[ApiKey, float]] = {}


def _kept(prefix: str, hashed: str) -> ApiKey:
    """Return what Redis remembers, by a hash of the hash, which opens nothing."""
    if not cache.is_there():
        return _as_key(prefix, _looked_up(prefix, hashed))
    name = cache.key("api_key", prefix, hashed)
    row = cache.read_through(name, lambda: (name, json.dumps(_looked_up(prefix, hashed)).encode()), _KNOWN_SECONDS)
    return _as_key(prefix, json.loads(row))


def _looked_up(prefix: str, hashed: str) -> dict[str, Any]:
    token = signed_token({"provider": "api_key", "key": prefix, "hash": hashed})
    row: dict[str, Any] = supabase_access.as_caller(token, "ours").rpc("find_api_key", {}, part=None)
    return row


def _as_key(prefix: str, row: Mapping[str, Any]) -> ApiKey:
    expiry = row["expires_at"]
    return ApiKey(
        prefix=prefix,
        owner=row["user_id"],
        scopes=frozenset(row["scopes"]),
        expires_at=datetime.fromisoformat(expiry).timestamp() if expiry else None,
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
