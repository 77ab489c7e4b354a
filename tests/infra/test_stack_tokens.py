"""The local PostgREST trusts the keys of its own stack and no others."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import httpx
import jwt
import psycopg
import pytest

from infra.local.keys import Keys
from infra.local.stack import Stack
from tests.infra.running import until

SUBJECT = "6f0e3c1e-5f2b-4c1c-9a55-1d7d7c2b8f10"


@pytest.fixture(scope="module", autouse=True)
def whoami(stack: Stack) -> Iterator[None]:
    """A database function that answers the caller's subject."""
    with psycopg.connect(stack.info["databaseUrl"], autocommit=True) as connection:
        connection.execute("create function whoami() returns uuid language sql stable as 'select auth.uid()'")
        connection.execute("notify pgrst, 'reload schema'")
        until(lambda: _subject(stack, stack.info["anonKey"]).status_code == 200)
        yield
        connection.execute("drop function whoami")


@pytest.mark.parametrize("algorithm", ["ES256", "HS256"])
def test_tokens_of_both_keys_are_accepted(stack: Stack, algorithm: Literal["ES256", "HS256"]) -> None:
    answer = _subject(stack, stack.keys.sign(_claims(), algorithm))
    assert (answer.status_code, answer.json()) == (200, SUBJECT)


FORGERIES: Mapping[str, Callable[[Keys], str]] = {
    "no algorithm": lambda _: jwt.encode(_claims(), "", algorithm="none"),
    "another ES256 key": lambda _: Keys.generate().sign(_claims()),
    "another HS256 secret": lambda _: Keys.generate().sign(_claims(), "HS256"),
    "expired": lambda keys: keys.sign(_claims(exp=int(time.time()) - 600)),
    "a role that the API does not have": lambda keys: keys.sign(_claims(role="supabase_admin")),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_tokens_are_refused(stack: Stack, forgery: str) -> None:
    answer = _subject(stack, FORGERIES[forgery](stack.keys))
    assert answer.status_code in (401, 403), answer.text
    assert SUBJECT not in answer.text


def _claims(**changes: object) -> dict[str, object]:
    return {"sub": SUBJECT, "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 600, **changes}


def _subject(stack: Stack, token: str) -> httpx.Response:
    headers = {"apikey": stack.info["anonKey"], "Authorization": f"Bearer {token}"}
    return httpx.get(f"{stack.info['supabaseUrl']}/rest/v1/rpc/whoami", headers=headers, timeout=20)
