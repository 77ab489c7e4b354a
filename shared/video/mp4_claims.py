"""How many samples an MP4 or MOV file claims: a reader makes a table of them before it reads the first.

Format: ISO 14496-12 (boxes). A few bytes of it may claim billions.
"""

from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Final

_CONTAINERS: Final = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
_DEEPEST: Final = 6
_COUNTS: Final = {b"stsz": 8, b"stz2": 8, b"trun": 4}  # where in its box the count lies
_DATA_HANDLERS: Final = {b"url ", b"alis"}  # which tell where a track's bytes are, not what they are
_LEAF_BYTES: Final = 16
_MOST_BOXES: Final = 100_000


def claims_more(path: Path, samples: int) -> bool:
    """Tell whether the file claims more than so many samples in all, or has more boxes than any that is meant well.

    Tracks of uncompressed sound, whose samples last one tick, count for nothing: no table is made of them.
    """
    total = track = 0
    sound = ticks = False
    with path.open("rb") as file:
        for number, (kind, body) in enumerate(_boxes(file, 0, path.stat().st_size)):
            if kind in {b"trak", b"moof"}:
                total += 0 if sound and ticks else track
                track, sound, ticks = 0, False, False
            elif kind == b"hdlr" and body[8:12] not in _DATA_HANDLERS:
                sound = body[8:12] == b"soun"
            elif kind == b"stts":
                ticks = body[4:8] == body[12:16] == b"\0\0\0\1"
            elif kind in _COUNTS:
                track += int.from_bytes(body[_COUNTS[kind] :][:4])
            if total > samples or number >= _MOST_BOXES:
                return True
    return total + (0 if sound and ticks else track) > samples


def _boxes(file: BufferedReader, start: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and first bytes of each box, containers before what they contain."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16 + _LEAF_BYTES)
        size, kind, body = int.from_bytes(head[:4]), head[4:8], 8
        if size == 1:
            size, body = int.from_bytes(head[8:16]), 16
        if 0 < size < body:
            return
        stop = min(end, start + size) if size else end
        yield kind, head[body : body + _LEAF_BYTES]
        if kind in _CONTAINERS and depth < _DEEPEST:
            yield from _boxes(file, start + body, stop, depth + 1)
        start = stop
