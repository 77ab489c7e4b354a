"""The recorded exchanges with a real Supabase, and the values in them that differ from run to run."""

import hashlib
import json
import re
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

from tests.contract.tokens import ALICE, BOB

Entry = dict[str, Any]

RECORDING = Path(__file__).with_name("storage.jsonl")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)")
_HTTP_DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")


@cache
def entries() -> tuple[Entry, ...]:
    """All lines, in order."""
    return tuple(json.loads(line) for line in RECORDING.read_text().splitlines())


def without_run(text: str) -> str:
    """The text with ids, times and dates replaced as in the recording."""
    text = _UUID.sub(lambda match: match[0] if match[0] in (ALICE, BOB) else "<uuid>", text)
    return _HTTP_DATE.sub("<http-date>", _TIMESTAMP.sub("<ts>", text))


def described_bytes(content: bytes) -> dict[str, Any]:
    """How the recording describes a file."""
    return {"bytes": len(content), "md5": _md5(content)}


def file_of(md5: str) -> bytes:
    """The file that the recording describes by its hash."""
    return _FILES[md5]


def _png(side: int, colour: bytes) -> bytes:
    """A square of one colour."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress((b"\0" + colour * side) * side)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


RED_PNG = _png(1, b"\xff\0\0")
GREEN_PNG = _png(2, b"\0\xff\0")
_FILES = {_md5(content): content for content in (RED_PNG, GREEN_PNG, b"x" * 100_000, b"x" * 100_001)}
