"""Fixtures: what the shared modules are tested with."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

Database = psycopg.Connection[Any]
A_DAY = 86_400  # long enough that nothing comes back while a test runs


@pytest.fixture
def limit(database: Database) -> Iterator[Callable[..., None]]:
    """Set limits for a test: `limit("user", "read", 2)` lets two through, and then none for a day."""

    def change(policy: str, work: str, amount: int, seconds: int = A_DAY) -> None:
        database.execute(
            "update private.rate_limits set amount = %s, seconds = %s where policy = %s and work = %s",
            (amount, seconds, policy, work),
        )

    database.execute("truncate private.rate_buckets")
    before = database.execute("select amount, seconds, policy, work from private.rate_limits").fetchall()
    yield change
    with database.cursor() as cursor:
        cursor.executemany(
            "update private.rate_limits set amount = %s, seconds = %s where policy = %s and work = %s", before
        )
    database.execute("truncate private.rate_buckets")
