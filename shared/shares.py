"""Share links: their tokens, passwords and addresses. Only hashes of the first two ever reach the database."""

import base64
import hashlib
import hmac
import re
import unicodedata
from typing import Final

from shared.errors import AppError
from shared.settings import settings

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{22}")  # 128 bits in base64
_SCRYPT: Final = {"n": 2**15, "r": 8, "p": 3, "dklen": 32, "maxmem": 64 * 1024 * 1024}  # OWASP's, for 32 MiB of memory


def token_of(nonce: str) -> str:
    """Return the token that belongs to a random nonce of 128 bits.

    A repeated request is answered with the same token though it is stored nowhere: the nonce is, for a day, and is
    worth nothing without the secret.
    """
    return base64.urlsafe_b64encode(_keyed("share token", nonce)[:16]).decode().rstrip("=")


def is_token(text: str) -> bool:
    """Tell whether this could be a token."""
    return bool(_TOKEN.fullmatch(text))


def token_hash(token: str) -> str:
    """Return what the database knows a link by."""
    return hashlib.sha256(token.encode()).hexdigest()


def watch_url() -> str:
    """Return what the addresses of links begin with; raises `not_configured`."""
    base = settings().watch_url
    if base is None:
        raise AppError("not_configured", "WATCH_URL is not set.")
    return base


def password_key(token: str, password: str) -> str:
    """Return the key that opens the link of this token, hexadecimal; it takes a third of a second to compute."""
    plain = unicodedata.normalize("NFKC", password)
    return hashlib.scrypt(plain.encode(), salt=token.encode(), **_SCRYPT).hex()


def key_hash(key: str) -> str:
    """Return what the database knows a password by."""
    return hashlib.sha256(bytes.fromhex(key)).hexdigest()


def sealed(password: str) -> str:
    """Return what stands for a password where a request is remembered: a hash that nobody can try passwords against."""
    return _keyed("share password", password).hex()


def _keyed(purpose: str, text: str) -> bytes:
    secret = settings().jwt_secret or settings().signing_key
    if not secret:
        raise AppError("not_configured", "SUPABASE_JWT_SECRET or SUPABASE_SIGNING_KEY must be set.")
    return hmac.new(secret.encode(), f"{purpose}:{text}".encode(), hashlib.sha256).digest()
