"""The signing keys and API keys of one local stack."""

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

ISSUED_AT = 1_735_689_600  # 2025-01-01, fixed so that a legacy key is the same at every start
EXPIRES_AT = 2_051_222_400  # 2035-01-01


@dataclass(frozen=True)
class Keys:
    """A Supabase project's legacy HS256 secret, ES256 key pair, and two opaque API keys."""

    jwt_secret: str
    es256_private_pem: str
    kid: str
    publishable_key: str
    secret_key: str

    @classmethod
    def generate(cls) -> Self:
        """New random keys."""
        private_pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return cls(
            jwt_secret=secrets.token_urlsafe(48),
            es256_private_pem=private_pem.decode(),
            kid=secrets.token_hex(16),
            publishable_key=f"sb_publishable_{secrets.token_urlsafe(24)}",
            secret_key=f"sb_secret_{secrets.token_urlsafe(24)}",
        )

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """The keys stored at `path`; where there are none, new ones are stored there with mode 0600."""
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            keys = cls.generate()
            write_private(path, json.dumps(asdict(keys), indent=2))
            return keys

    @property
    def anon_key(self) -> str:
        """The legacy API key of role `anon`."""
        return self._legacy_key("anon")

    @property
    def service_key(self) -> str:
        """The legacy API key of role `service_role`."""
        return self._legacy_key("service_role")

    def public_jwks(self) -> dict[str, Any]:
        """The key set that anybody may read: the public half of the ES256 key."""
        public_key = _load(self.es256_private_pem).public_key()
        key = ECAlgorithm.to_jwk(public_key, as_dict=True)
        return {"keys": [{**key, "kid": self.kid, "alg": "ES256", "use": "sig", "key_ops": ["verify"]}]}

    def verification_jwks(self) -> dict[str, Any]:
        """The key set a verifier of both kinds of tokens needs; it contains the legacy secret."""
        encoded = base64.urlsafe_b64encode(self.jwt_secret.encode()).rstrip(b"=").decode()
        symmetric = {"kty": "oct", "alg": "HS256", "k": encoded}
        return {"keys": [*self.public_jwks()["keys"], symmetric]}

    def sign(self, claims: Mapping[str, object], alg: Literal["ES256", "HS256"] = "ES256") -> str:
        """A token with exactly these claims; its header names the key only for ES256."""
        if alg == "HS256":
            return jwt.encode(dict(claims), self.jwt_secret, algorithm=alg)
        return jwt.encode(dict(claims), self.es256_private_pem, algorithm=alg, headers={"kid": self.kid})

    def _legacy_key(self, role: str) -> str:
        claims = {"iss": "supabase", "ref": "local", "role": role, "iat": ISSUED_AT, "exp": EXPIRES_AT}
        return self.sign(claims, "HS256")


def _load(private_pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(private_pem.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def write_private(path: Path, text: str) -> None:
    """A reader sees the whole file or none; it is never readable by others, not even while it is written."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
