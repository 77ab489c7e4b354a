"""The Data API, below `/rest/v1`: a streaming proxy to PostgREST."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from infra.local.supabase.gateway import send_json
from infra.local.supabase.upstream import (
    BadAnswerError,
    Connection,
    Headers,
    Upstream,
    UpstreamAnswer,
    read_answer,
    send_request,
)

_NOT_FORWARDED = {b"host", b"connection", b"keep-alive", b"upgrade", b"te", b"expect", b"proxy-authorization"}
_NOT_RETURNED = {b"connection", b"keep-alive", b"transfer-encoding", b"date"}


class RestProxy:
    """Forwards requests as they are, apart from the path's prefix."""

    def __init__(self, postgrest_url: str, prefix: str) -> None:
        address = urlsplit(postgrest_url)
        self._host = address.netloc.encode()
        self._upstream = Upstream(address.hostname or "127.0.0.1", address.port or 80)
        self._prefix = prefix.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        try:
            connection = await self._upstream.acquire()
        except OSError:
            await send_json(send, 503, {"message": "The upstream server is currently unavailable"})
            return
        try:
            answer = await self._exchange(connection, scope, receive)
            started = True
            await _send_answer(send, answer)
            self._upstream.release(connection)
        except ClientDisconnect:
            connection.close()
        except (BadAnswerError, OSError):
            connection.close()
            if not started:
                message = "An invalid response was received from the upstream server"
                await send_json(send, 502, {"message": message})
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        self._upstream.close()

    async def _exchange(self, connection: Connection, scope: Scope, receive: Receive) -> UpstreamAnswer:
        method = scope["method"]
        await send_request(connection, method, self._target(scope), self._headers(scope), _body(receive))
        return await read_answer(connection, method)

    def _target(self, scope: Scope) -> bytes:
        path = scope["raw_path"].removeprefix(self._prefix) or b"/"
        query: bytes = scope["query_string"]
        return bytes(path + b"?" + query if query else path)

    def _headers(self, scope: Scope) -> Headers:
        forwarded = [(name, value) for name, value in scope["headers"] if name not in _NOT_FORWARDED]
        return [(b"host", self._host), *forwarded]


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        if chunk := message.get("body", b""):
            yield chunk


async def _send_answer(send: Send, answer: UpstreamAnswer) -> None:
    headers = [(name, value) for name, value in answer.headers if name not in _NOT_RETURNED]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    async for chunk in answer.body:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
