"""Messages between the gateway and an environment: one byte of kind, four of length, then the payload."""

import asyncio
import socket
import struct

READY = b"+"  # from the environment: the handler is imported
CONTEXT = b"c"  # to the environment: {"requestId", "traceId"}; an event follows
EVENT = b"e"  # to the environment: the event, as JSON
RESULT = b"r"  # from the environment: the result, as JSON
FAILURE = b"!"  # from the environment: why there is no result

Message = tuple[bytes, bytes]

_HEADER = struct.Struct("!cI")


def pack(kind: bytes, payload: bytes = b"") -> bytes:
    """One message, ready to be written."""
    return _HEADER.pack(kind, len(payload)) + payload


async def read(reader: asyncio.StreamReader) -> Message:
    """The next message; `asyncio.IncompleteReadError` where the other side is gone."""
    kind, length = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    return kind, await reader.readexactly(length)


def receive(channel: socket.socket) -> Message | None:
    """The next message, waiting for it; None where the other side is gone."""
    header = _receive_exactly(channel, _HEADER.size)
    if header is None:
        return None
    kind, length = _HEADER.unpack(header)
    payload = _receive_exactly(channel, length)
    return None if payload is None else (kind, payload)


def _receive_exactly(channel: socket.socket, length: int) -> bytes | None:
    received = bytearray(length)
    view = memoryview(received)
    while view:
        count = channel.recv_into(view)
        if count == 0:
            return None
        view = view[count:]
    return bytes(received)
