"""Fixtures: who calls the functions, which run in this process, against the embedded stack."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jwt.algorithms import ECAlgorithm

from infra.local.keys import Keys, _load
from infra.local.stack import Stack
from shared.identity import api_keys, tokens
from shared.settings import settings
from tests.client import Client

Claims = Callable[..., dict[str, object]]


@pytest.fixture
def function_environment(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Give the handlers the stack's environment; a test may change it through this fixture."""
    for name, value in stack.function_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("USAGE_EVENTS", "off")  # what is told beside the work is for the tests that ask for it
    settings.cache_clear()
    monkeypatch.setattr(tokens, "_key_set", tokens._KeySet())
    api_keys._known.clear()
    yield monkeypatch
    settings.cache_clear()


class User(Client):
    """A signed-in client, its subject and its confirmed address."""

    def __init__(self, subject: str, token: str, email: str = "") -> None:
        super().__init__(token)
        self.subject = subject
        self.email = email


@pytest.fixture(scope="session")
def keys(stack: Stack) -> Keys:
    """The stack's signing keys."""
    return stack.keys


@pytest.fixture
def claims(stack: Stack) -> Claims:
    """Make the claims of a valid access token; keyword arguments replace some."""

    def make(**changed: object) -> dict[str, object]:
        now = int(time.time())
        return {
            "sub": str(uuid.uuid4()),
            "role": "authenticated",
            "aud": "authenticated",
            "iss": f"{stack.info['supabaseUrl']}/auth/v1",
            "iat": now,
            "exp": now + 600,
        } | changed

    return make


@pytest.fixture
def signing_key(keys: Keys, function_environment: pytest.MonkeyPatch) -> dict[str, Any]:
    """Give the functions the project's own ES256 key, as one that was imported, and no legacy secret."""
    jwk = {**ECAlgorithm.to_jwk(_load(keys.es256_private_pem), as_dict=True), "kid": keys.kid, "alg": "ES256"}
    function_environment.setenv("SUPABASE_SIGNING_KEY", json.dumps(jwk))
    function_environment.delenv("SUPABASE_JWT_SECRET")
    settings.cache_clear()
    return jwk


@pytest.fixture
def new_user(function_environment: pytest.MonkeyPatch, keys: Keys, claims: Claims) -> Callable[[], User]:
    """Make signed-in users that nothing was stored for yet."""

    def make() -> User:
        subject = str(uuid.uuid4())
        email = f"{subject}@example.com"
        return User(subject, keys.sign(claims(sub=subject, email=email)), email)

    return make


@pytest.fixture
def alice(new_user: Callable[[], User]) -> User:
    return new_user()


@pytest.fixture
def bob(new_user: Callable[[], User]) -> User:
    return new_user()


@pytest.fixture
def guest(function_environment: pytest.MonkeyPatch) -> Client:
    """A client without credentials."""
    return Client()
