"""A small HTTP/1.1 client for one server nearby: connections are kept, bodies are streamed both ways."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

Headers = list[tuple[bytes, bytes]]

_CHUNK_BYTES = 64 * 1024
_IDLE_SECONDS = 20  # below the 30 s after which PostgREST's server closes an idle connection


class BadAnswerError(Exception):
    """The server closed the connection early, or sent what is not HTTP."""


@dataclass
class Connection:
    """One connection, used by one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used_at: float = 0.0

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        return cls(*await asyncio.open_connection(host, port, limit=_CHUNK_BYTES))

    @property
    def usable(self) -> bool:
        return not self.reader.at_eof() and time.monotonic() - self.used_at < _IDLE_SECONDS

    def close(self) -> None:
        self.writer.close()


@dataclass(frozen=True)
class UpstreamAnswer:
    """The head of a response; its body must be read to the end before the connection can be used again."""

    status: int
    headers: Headers
    body: AsyncIterator[bytes]


class Upstream:
    """The server, and the connections to it that are idle."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._idle: list[Connection] = []

    async def acquire(self) -> Connection:
        """A connection; raises `OSError` where the server is away."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        return await Connection.open(*self._address)

    def release(self, connection: Connection) -> None:
        connection.used_at = time.monotonic()
        self._idle.append(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


async def send_request(
    connection: Connection, method: str, target: bytes, headers: Headers, body: AsyncIterator[bytes]
) -> None:
    """Sends the request; its body is chunked unless the headers give a length."""
    names = {name for name, _ in headers}
    chunked = b"transfer-encoding" in names
    lines = [method.encode() + b" " + target + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in headers]
    connection.writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
    if chunked or b"content-length" in names:
        async for chunk in body:
            connection.writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
            await connection.writer.drain()
    if chunked:
        connection.writer.write(b"0\r\n\r\n")


async def read_answer(connection: Connection, method: str) -> UpstreamAnswer:
    """The response's head, and its body as it comes."""
    try:
        head = await connection.reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head[:-4].split(b"\r\n")
        status = int(status_line.split(b" ", 2)[1])
        headers = [_header(line) for line in lines]
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
        raise BadAnswerError from error
    values = dict(headers)
    if method == "HEAD" or status in (204, 304):
        return UpstreamAnswer(status, headers, _exactly(connection.reader, 0))
    if values.get(b"transfer-encoding", b"").lower() == b"chunked":
        return UpstreamAnswer(status, headers, _chunks(connection.reader))
    return UpstreamAnswer(status, headers, _exactly(connection.reader, int(values.get(b"content-length", b"0"))))


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, separator, value = line.partition(b":")
    if not separator:
        raise ValueError(line)
    return name.strip().lower(), value.strip()


async def _exactly(reader: asyncio.StreamReader, count: int) -> AsyncIterator[bytes]:
    while count:
        chunk = await reader.read(min(count, _CHUNK_BYTES))
        if not chunk:
            raise BadAnswerError
        count -= len(chunk)
        yield chunk


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    try:
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            async for chunk in _exactly(reader, size):
                yield chunk
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise BadAnswerError from error
