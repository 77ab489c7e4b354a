"""The gateway's log: lines on standard error, each after the name of the function that it is about.

The same lines go into the file that GATEWAY_LOG names, as JSON, where `infra.local.logs` looks for a request.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

READ_SIZE = 1 << 16

_forwarding: set[asyncio.Task[None]] = set()  # asyncio itself holds tasks weakly


def log(name: str, *lines: str, **ids: str | None) -> None:
    """Write lines that are about one function, and about an invocation of these `requestId` and `invocationId`."""
    _append(sys.stderr, (f"[{name}] {line}" for line in lines))
    if file := _file():
        _append(file, (json.dumps(_record(name, line, ids)) for line in lines))


def _append(file: IO[str], lines: Iterable[str]) -> None:
    """Write lines, or go without them: a full disk shall cost no request its answer."""
    with suppress(OSError):
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()


@cache
def _file() -> IO[str] | None:
    path = os.environ.get("GATEWAY_LOG")
    return Path(path).open("a", encoding="utf-8") if path else None


def _record(name: str, line: str, ids: dict[str, str | None]) -> dict[str, Any]:
    """Return a line of a function's log as it is, any other one as the text of a record."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if isinstance(found, dict) and "event" in found:
        return found
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"time": now, "function": name, "event": "output", **ids, "text": line}


async def forward(name: str, output: "Connection[bytes, bytes]") -> None:
    """Log what an environment prints, from now until the other end of the pipe is closed."""
    pipe = os.fdopen(os.dup(output.fileno()), "rb", buffering=0)
    output.close()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    task = asyncio.create_task(_copy_lines(name, reader))
    _forwarding.add(task)
    task.add_done_callback(_forwarding.discard)


async def _copy_lines(name: str, reader: asyncio.StreamReader) -> None:
    rest = b""
    while data := await reader.read(READ_SIZE):
        *lines, rest = (rest + data).split(b"\n")
        log(name, *(line.decode(errors="replace") for line in lines))
    if rest:
        log(name, rest.decode(errors="replace"))
