"""Fixtures: a large database, and a person who looks at it."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from infra.local.stack import Stack
from tests.infra.access import Database
from tests.infra.large_database import GENERATE, md5


@pytest.fixture(scope="module")
def large(stack: Stack) -> Iterator[Database]:
    """A connection within the transaction that has generated it all."""
    with psycopg.connect(stack.superuser_url) as connection:
        connection.execute(GENERATE)
        yield connection
        connection.rollback()


@pytest.fixture
def person(large: Database) -> Iterator[Database]:
    """The same as number 0 sees it; what a test changes is undone."""
    with large.transaction(force_rollback=True):
        claims = {"sub": md5("u0"), "role": "authenticated", "email": "u0@example.com"}
        large.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps(claims),))
        large.execute("set local role authenticated")
        yield large
