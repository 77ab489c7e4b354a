"""Bearer tokens and API keys: who a request comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from jwt.types import Options

from infra.local.keys import Keys

_UNCHECKED: Options = {"verify_aud": False, "verify_iss": False, "verify_iat": False, "verify_sub": False}


class TokenError(Exception):
    """A token that is not accepted; the message is the one that Supabase's servers give."""


@dataclass(frozen=True)
class Caller:
    """The claims that Postgres evaluates a request with."""

    claims: Mapping[str, Any]

    @property
    def role(self) -> str:
        return str(self.claims.get("role", "anon"))

    @property
    def subject(self) -> str | None:
        subject = self.claims.get("sub")
        return None if subject is None else str(subject)


class Tokens:
    """Verifies and makes the tokens of one project."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        public_key = jwt.PyJWK.from_dict(keys.public_jwks()["keys"][0]).key
        self._verifiers: dict[str, str | EllipticCurvePublicKey] = {
            "HS256": keys.jwt_secret,
            "ES256": public_key,
        }
        self._role_tokens = {
            keys.publishable_key: keys.anon_key,
            keys.secret_key: keys.service_key,
        }
        self._known_api_keys = {keys.anon_key, keys.service_key, *self._role_tokens}

    def is_opaque(self, key: str) -> bool:
        """Whether this is one of the API keys that are no tokens."""
        return key in self._role_tokens

    def role_token(self, key: str) -> str:
        """The role's token that an opaque API key stands for; anything else comes back as it is."""
        return self._role_tokens.get(key, key)

    def is_api_key(self, key: str) -> bool:
        """Whether the gateway lets this key in: an API key, or a token signed by the legacy secret."""
        if key in self._known_api_keys:
            return True
        try:
            return jwt.get_unverified_header(key).get("alg") == "HS256" and bool(self.verify(key))
        except (jwt.PyJWTError, TokenError):
            return False

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a valid token; raises `TokenError` otherwise."""
        if token.count(".") != 2:
            raise TokenError("Invalid Compact JWS")
        try:
            algorithm = jwt.get_unverified_header(token)["alg"]
        except (jwt.PyJWTError, KeyError) as error:
            raise TokenError("JWS Protected Header is invalid") from error
        if algorithm not in self._verifiers:
            raise TokenError('"alg" (Algorithm) Header Parameter value not allowed')
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._verifiers[algorithm], algorithms=[algorithm], options=_UNCHECKED
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenError('"exp" claim timestamp check failed') from error
        except jwt.ImmatureSignatureError as error:
            raise TokenError('"nbf" claim timestamp check failed') from error
        except jwt.PyJWTError as error:
            raise TokenError("signature verification failed") from error
        return claims

    def sign_url(self, claims: Mapping[str, object]) -> str:
        """The token of a signed URL; its header names nothing but the algorithm."""
        payload = dict(claims)
        return jwt.encode(payload, self.keys.jwt_secret, algorithm="HS256", headers={"typ": None})
