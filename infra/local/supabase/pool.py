"""Database connections that are opened when they are needed, and kept for the next request."""

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row

Connection = AsyncConnection[DictRow]

_CONNECT_SECONDS = 5


class Pool:
    """At most `size` connections to one database; while it is away, every request finds out at once."""

    def __init__(self, database_url: str, application: str, size: int = 16) -> None:
        self._database_url = database_url
        self._application = application
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A working connection; raises `psycopg.OperationalError` where there can be none."""
        async with self._slots:
            connection = await self._take()
            try:
                yield connection
            finally:
                if connection.info.transaction_status == TransactionStatus.IDLE:
                    self._idle.append(connection)
                else:
                    await connection.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction, which is committed unless an error is raised."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if _is_alive(connection):
                return connection
            await connection.close()
        return await AsyncConnection.connect(
            self._database_url,
            autocommit=True,
            row_factory=dict_row,
            application_name=self._application,
            connect_timeout=_CONNECT_SECONDS,
        )


def _is_alive(connection: Connection) -> bool:
    """Whether nothing came over an idle connection: a server only speaks unasked to say that it goes."""
    return not connection.closed and not select.select([connection.fileno()], [], [], 0)[0]
