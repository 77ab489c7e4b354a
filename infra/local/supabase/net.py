"""Sends the HTTP requests that SQL has queued by `net.http_post`, as the background worker of pg_net does."""

import asyncio
from typing import Any

import httpx
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from infra.local.supabase.pool import Connection

_AT_ONCE = 4
_POLL_SECONDS = 2.0
_RECONNECT_SECONDS = 0.5
_CONNECT_SECONDS = 5

_CLAIM = """
select id, method, url, headers, body, timeout_milliseconds from net.http_request_queue
order by id limit 1 for update skip locked
"""

_SETTLE = """
with expired as (delete from net._http_response where created < now() - interval '6 hours'),
  sent as (delete from net.http_request_queue where id = %(id)s)
insert into net._http_response (id, status_code, content_type, headers, content, timed_out, error_msg)
values (%(id)s, %(status_code)s, %(content_type)s, %(headers)s, %(content)s, %(timed_out)s, %(error_msg)s)
"""


class QueuedRequests:
    """The requests of one database. Each is sent once, whatever is answered; again only where this process ended."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    async def send_forever(self) -> None:
        """Sends what is queued, a few requests at a time, until it is cancelled; a database that is away is awaited."""
        # A connection that was kept may have been closed by the other side, and nothing is sent a second time.
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(limits=limits, timeout=None, trust_env=False) as client:  # noqa: S113
            await asyncio.gather(*(self._work(client) for _ in range(_AT_ONCE)))

    async def _work(self, client: httpx.AsyncClient) -> None:
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute("listen net")
                    while True:
                        while await _send_next(connection, client):
                            pass
                        await _wait(connection)
            except psycopg.Error:
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def _connect(self) -> Connection:
        return await AsyncConnection.connect(
            self._database_url,
            autocommit=True,
            row_factory=dict_row,
            application_name="net",
            connect_timeout=_CONNECT_SECONDS,
        )


async def _wait(connection: Connection) -> None:
    """Returns when a request was queued, or might have been."""
    async for _ in connection.notifies(timeout=_POLL_SECONDS, stop_after=1):
        pass


async def _send_next(connection: Connection, client: httpx.AsyncClient) -> bool:
    """Sends the oldest request that nobody is sending; False where there is none."""
    async with connection.transaction():
        request = await (await connection.execute(_CLAIM)).fetchone()
        if request is None:
            return False
        outcome = await _send(client, request)
        await connection.execute(_SETTLE, {"id": request["id"], **outcome})
    return True


async def _send(client: httpx.AsyncClient, request: DictRow) -> dict[str, Any]:
    """The columns of the response, or of the failure to get one."""
    headers = {name: str(value) for name, value in (request["headers"] or {}).items()}
    milliseconds = request["timeout_milliseconds"]
    try:
        async with asyncio.timeout(milliseconds / 1000):
            response = await client.request(request["method"], request["url"], headers=headers, content=request["body"])
    except TimeoutError:
        return _failure(f"Timeout of {milliseconds} ms reached", timed_out=True)
    except Exception as error:  # whatever is wrong with one request must not hold up the others
        return _failure(str(error), timed_out=False)
    return {
        "status_code": response.status_code,
        "content_type": response.headers.get("content-type"),
        "headers": Jsonb(dict(response.headers)),
        "content": response.text.replace("\0", ""),
        "timed_out": False,
        "error_msg": None,
    }


def _failure(message: str, *, timed_out: bool) -> dict[str, Any]:
    nothing = dict.fromkeys(("status_code", "content_type", "headers", "content"))
    return {**nothing, "timed_out": timed_out, "error_msg": message}
