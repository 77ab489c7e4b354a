"""Files damaged at random, as decoders meet them from people who mean harm."""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

Damage = Callable[[Random, bytes, int], bytes]

_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 16_000, 65_500, 0x7FFFFFFF, 0xFFFFFFFF)


def damaged(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Return one of the files with one to four places damaged."""
    data = random.choice(seeds)
    damages: tuple[Damage, ...] = (_flip, _flip, _edge, _edge, _cut, _repeat, _end, partial(_splice, seeds))
    for _ in range(random.randint(1, 4)):
        # Most of what a decoder can stumble over stands in the header.
        place = int(random.random() ** 2 * len(data))
        data = random.choice(damages)(random, data, place) or b"\0"
    return data


def _flip(random: Random, data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ random.randint(1, 255)]) + data[at + 1 :]


def _cut(random: Random, data: bytes, at: int) -> bytes:
    return data[:at] + data[at + random.randint(1, 255) :]


def _repeat(random: Random, data: bytes, at: int) -> bytes:
    return data[: at + random.randint(1, 255)] + data[at:]


def _end(_: Random, data: bytes, at: int) -> bytes:
    return data[: len(data) - at]


def _edge(random: Random, data: bytes, at: int) -> bytes:
    width = random.choice((1, 2, 4))
    number = random.choice(_EDGES) & (1 << 8 * width) - 1
    return data[:at] + number.to_bytes(width, random.choice(("big", "little"))) + data[at + width :]


def _splice(seeds: Sequence[bytes], random: Random, data: bytes, at: int) -> bytes:
    other = random.choice(seeds)
    start = random.randrange(len(other))
    return data[:at] + other[start : start + random.randint(1, 2000)] + data[at:]
