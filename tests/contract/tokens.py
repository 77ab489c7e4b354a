"""The tokens that the recording names, made with a stack's own keys."""

import json
import re
import time
from collections.abc import Mapping
from typing import Any

import jwt

from infra.local.keys import Keys

ALICE = "11111111-1111-4111-8111-111111111111"
BOB = "22222222-2222-4222-8222-222222222222"
NEVER = 4_102_444_800
TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
PLACEHOLDER = re.compile(r"<JWT (\{.*?\})\.(\{.*?\})>")


def named_tokens(keys: Keys) -> dict[str, str]:
    """Every `<NAME>` of the recording with the token that it stands for."""
    now = int(time.time())
    alice = _user(ALICE)
    secret = keys.jwt_secret
    return {
        "<SERVICE_KEY>": keys.sign(_project("service_role"), "HS256"),
        "<ANON_KEY>": keys.sign(_project("anon"), "HS256"),
        "<ALICE_JWT>": keys.sign(alice, "HS256"),
        "<BOB_JWT>": keys.sign(_user(BOB), "HS256"),
        "<EXPIRED_JWT>": keys.sign({**alice, "exp": now - 3600}, "HS256"),
        "<JUST_EXPIRED_JWT>": keys.sign({**alice, "exp": now - 5}, "HS256"),
        "<NBF_JWT>": keys.sign({**alice, "nbf": now + 3600}, "HS256"),
        "<NO_EXP_JWT>": keys.sign({name: alice[name] for name in alice if name != "exp"}, "HS256"),
        "<UNKNOWN_ROLE_JWT>": keys.sign({**alice, "role": "nonsense"}, "HS256"),
        "<WRONG_SECRET_JWT>": jwt.encode(alice, "another secret of at least 32 bytes", algorithm="HS256"),
        "<HS512_JWT>": jwt.encode(alice, secret, algorithm="HS512"),
        "<ALG_NONE_JWT>": jwt.encode(alice, "", algorithm="none"),
    }


def fill_in(text: str, names: Mapping[str, str], keys: Keys) -> str:
    """The text with real tokens in place of names and `<JWT header.payload>`."""
    for name, token in names.items():
        text = text.replace(name, token)
    return PLACEHOLDER.sub(lambda match: _sign_placeholder(match[1], match[2], keys), text)


def describe(text: str, names: Mapping[str, str]) -> str:
    """The text with `<JWT header.payload>` in place of tokens, as the recording writes them."""
    for name, token in names.items():
        text = text.replace(token, name)
    return TOKEN.sub(lambda match: _describe_token(match[0]), text)


def _sign_placeholder(header: str, payload: str, keys: Keys) -> str:
    claims = json.loads(payload)
    claims["iat"] = int(time.time())
    claims["exp"] = claims["iat"] + int(claims["exp"].removeprefix("iat+"))
    return jwt.encode(claims, keys.jwt_secret, json.loads(header)["alg"], headers={"typ": None})


def _describe_token(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    described = {**claims, "iat": "<now>", "exp": f"iat+{claims['exp'] - claims['iat']}"}
    return f"<JWT {json.dumps(jwt.get_unverified_header(token))}.{json.dumps(described)}>"


def _project(role: str) -> dict[str, Any]:
    return {"iss": "supabase", "ref": "stub", "role": role, "iat": 1_700_000_000, "exp": NEVER}


def _user(subject: str) -> dict[str, Any]:
    return {"sub": subject, "role": "authenticated", "aud": "authenticated", "exp": NEVER}
