"""The gateway's log: lines on standard error, each after the name of the function that it is about."""

import asyncio
import os
import sys
from multiprocessing.connection import Connection

READ_SIZE = 1 << 16

_forwarding: set[asyncio.Task[None]] = set()  # asyncio itself holds tasks weakly


def log(name: str, *lines: str) -> None:
    """Write lines that are about one function."""
    sys.stderr.write("".join(f"[{name}] {line}\n" for line in lines))
    sys.stderr.flush()


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
