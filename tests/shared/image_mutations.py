"""Image files damaged at random, as decoders meet them from people who mean harm."""

import struct
import zlib
from collections.abc import Callable
from random import Random

from tests.shared.image_files import (
    FORMATS,
    chunk,
    corners,
    display_p3,
    encoded,
    exif,
    gradient,
    icc_profile,
    noise,
    png_16_bit,
    png_with,
)

SEEDS = [
    *(encoded(corners(), file_format) for file_format in FORMATS),
    *(encoded(corners(), f, exif=exif(6), icc_profile=display_p3()) for f in ("PNG", "JPEG", "WEBP", "AVIF")),
    *(encoded(corners(), f, save_all=True, append_images=[gradient(96, 64)]) for f in ("PNG", "GIF", "WEBP", "AVIF")),
    encoded(noise(64, 64), "JPEG", quality=5, progressive=True),
    encoded(corners().convert("CMYK"), "JPEG", icc_profile=icc_profile(b"CMYK", 1.8)),
    encoded(corners().convert("P"), "PNG", transparency=0),
    encoded(corners().convert("LA"), "PNG", icc_profile=icc_profile(b"GRAY", 1.8)),
    encoded(corners(), "WEBP", lossless=True),
    encoded(corners().convert("RGBA").rotate(9), "WEBP"),
    encoded(corners(2300, 900), "JPEG"),
    encoded(corners(2300, 900), "WEBP"),
    encoded(corners(2300, 900), "PNG"),
    png_16_bit(64, 64, (1, 2, 3)),
    png_with(encoded(corners(), "PNG"), chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(50_000_000)))),
]


Damage = Callable[[Random, bytes, int], bytes]

_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 16_000, 65_500, 0x7FFFFFFF, 0xFFFFFFFF)


def mutated(random: Random) -> bytes:
    """Return a file with one to four places damaged; half of the PNGs get checksums that fit again."""
    data = random.choice(SEEDS)
    for _ in range(random.randint(1, 4)):
        # Most of what a decoder can stumble over stands in the header.
        place = int(random.random() ** 2 * len(data))
        data = random.choice(_DAMAGES)(random, data, place) or b"\0"
    return _mended(data) if random.random() < 0.5 else data


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


def _splice(random: Random, data: bytes, at: int) -> bytes:
    other = random.choice(SEEDS)
    start = random.randrange(len(other))
    return data[:at] + other[start : start + random.randint(1, 2000)] + data[at:]


_DAMAGES: tuple[Damage, ...] = (_flip, _flip, _edge, _edge, _cut, _repeat, _end, _splice)


def _mended(data: bytes) -> bytes:
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    out, at = data[:8], 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        out += chunk(kind, data[at + 8 : at + 8 + length])
        at += 12 + length
    return out
