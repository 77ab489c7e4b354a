"""Image files damaged at random."""

import struct
import zlib
from random import Random

from tests.shared.damage import damaged
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


def mutated(random: Random) -> bytes:
    """Return a damaged image file; half of the PNGs get checksums that fit again."""
    data = damaged(random, SEEDS)
    return _mended(data) if random.random() < 0.5 else data


def _mended(data: bytes) -> bytes:
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    out, at = data[:8], 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        out += chunk(kind, data[at + 8 : at + 8 + length])
        at += 12 + length
    return out
