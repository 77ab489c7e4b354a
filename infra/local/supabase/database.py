"""Transactions that Postgres evaluates as the caller, or as the service role."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from infra.local.supabase.errors import from_database, is_connection_failure
from infra.local.supabase.pool import Connection, Pool
from infra.local.supabase.tokens import Caller

SERVICE = Caller({"role": "service_role"})

_BECOME = """
select set_config('role', %s, true), set_config('request.jwt.claims', %s, true),
       set_config('storage.operation', %s, true), set_config('storage.allow_delete_query', 'true', true)
"""


class Database:
    """The storage tables, seen with the rights of whoever asks."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self, caller: Caller, operation: str) -> AsyncIterator[Connection]:
        """A transaction with the caller's role and claims; refusals by Postgres become storage errors."""
        async with self._begin(caller, operation, rollback=False) as connection:
            yield connection

    @asynccontextmanager
    async def probe(self, caller: Caller, operation: str) -> AsyncIterator[Connection]:
        """A transaction that is always rolled back: it only tells whether Postgres would allow the change."""
        async with self._begin(caller, operation, rollback=True) as connection:
            yield connection

    @asynccontextmanager
    async def _begin(self, caller: Caller, operation: str, rollback: bool) -> AsyncIterator[Connection]:
        is_done = False
        try:
            async with self._pool.connection() as connection, connection.transaction(force_rollback=rollback):
                claims = json.dumps(caller.claims, separators=(",", ":"))
                await connection.execute(_BECOME, (caller.role, claims, f"storage.{operation}"))
                yield connection
                is_done = True
        except psycopg.Error as error:
            failure = from_database(error)
            failure.is_undecided = is_done and is_connection_failure(error)
            raise failure from error
