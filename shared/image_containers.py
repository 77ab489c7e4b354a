"""Image files as bytes: their dimensions, and what is left of them without metadata. No pixel is decoded."""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from shared.errors import AppError

Format = Literal["PNG", "JPEG", "WEBP", "GIF", "AVIF"]

MAX_PIXELS: Final = 40_000_000
_MAX_PROFILE_BYTES: Final = 4 * 1024 * 1024
# Each scan of a progressive JPEG costs a pass over the whole image, however short. Encoders write about ten.
_MAX_JPEG_SCANS: Final = 100


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file whose header fits the limits.

    `data` decodes to the first picture of what was sent. Where `clean` is set it can be served as it is: it
    holds no metadata, no colour profile and no bytes behind the image. Only JPEG and still WebP can be clean.
    """

    format: Format
    data: bytes
    exif: bytes = b""
    icc_profile: bytes = b""
    clean: bool = False


def check_dimensions(width: int, height: int) -> None:
    """Refuse an image without pixels, or with more than 40 million."""
    if width < 1 or height < 1:
        raise AppError("not_an_image", "The image has no pixels: its width or height is 0.")
    if width * height > MAX_PIXELS:
        raise AppError("too_many_pixels")


def read_png(data: bytes) -> ImageFile:
    """Return the PNG with its still picture only: text chunks can inflate a thousandfold."""
    kept, exif, profile = [data[:8]], b"", b""
    for kind, chunk in _png_chunks(data):
        if kind == b"IHDR":
            check_dimensions(*struct.unpack_from(">II", chunk, 8))
        if kind in {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}:
            if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
                raise AppError("image_truncated")
            kept.append(chunk)
        elif kind == b"eXIf":
            exif = chunk[8:-4]
        elif kind == b"iCCP":
            profile = _inflate_profile(chunk[8:-4])
    return ImageFile("PNG", b"".join(kept), exif, profile)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and whole chunk, up to and with IEND."""
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length]
        if len(chunk) < 12 + length:
            raise AppError("image_truncated")
        yield kind, chunk
        at += len(chunk)


def _inflate_profile(chunk: bytes) -> bytes:
    _, _, compressed = chunk.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(compressed[1:], _MAX_PROFILE_BYTES)
    except zlib.error:
        return b""
    return profile if inflater.eof else b""


# Within a scan FF is data before 00, a restart marker before D0 to D7, and padding before another FF.
_END_OF_SCAN: Final = re.compile(rb"\xff(?=[^\x00\xd0-\xd7\xff])")
_SOS: Final = 0xDA
_EOI: Final = 0xD9
# Baseline, extended sequential and progressive frames, Huffman-coded: the ones that browsers show.
_JPEG_FRAMES: Final = {0xC0, 0xC1, 0xC2}
_JPEG_KEPT: Final = _JPEG_FRAMES | {0xC4, 0xDB, 0xDD, _SOS, _EOI}
_JPEG_DROPPED: Final = {*range(0xE0, 0xF0), 0xFE}
_JFIF: Final = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"


def read_jpeg(data: bytes) -> ImageFile:
    """Return the JPEG without its application segments, but for the two that tell how colours are meant.

    What breaks off or holds unusual markers is left to the decoder as it came, and is not clean.
    """
    if data.count(b"\xff\xda") > _MAX_JPEG_SCANS:
        raise AppError("unsupported_image_type", "The JPEG has too many scans. Save it again as a plain JPEG.")
    kept, exif, profile, last = [data[:2]], b"", dict[int, bytes](), 0
    for last, segment in _jpeg_segments(data):
        if last in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", segment, 5)
            check_dimensions(width, height)
        if last in _JPEG_KEPT:
            kept.append(segment)
        elif last == 0xE0 and segment.startswith(b"JFIF\0", 4):
            kept.append(_JFIF)
        elif last == 0xE1 and segment.startswith(b"Exif\0\0", 4):
            exif = exif or segment[4:]
        elif last == 0xE2 and segment.startswith(b"ICC_PROFILE\0", 4):
            profile[segment[16]] = segment[18:]
        elif last == 0xEE and segment.startswith(b"Adobe", 4) and len(segment) >= 16:
            kept.append(b"\xff\xee\0\x0e" + segment[4:16])
    icc_profile = b"".join(profile[number] for number in sorted(profile))
    clean = last == _EOI
    return ImageFile("JPEG", b"".join(kept) if clean else data, exif, icc_profile, clean)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and segment, a scan's data with its header, until the image ends or oddities come."""
    at = 2
    while data.startswith(b"\xff", at):
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == _EOI:
            yield marker, data[at : at + 2]
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker not in _JPEG_KEPT | _JPEG_DROPPED or not at + 4 <= end <= len(data):
            return
        if marker == _SOS:
            found = _END_OF_SCAN.search(data, end)
            if found is None:
                return
            end = found.start()
        yield marker, data[at:end]
        at = end


def read_webp(data: bytes) -> ImageFile:
    """Return the WebP in the simplest container for its picture; an animation loses its tail only."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise AppError("image_truncated")
    chunks = _webp_chunks(data, end)
    exif, profile, extended = (chunks.get(kind, b"") for kind in (b"EXIF", b"ICCP", b"VP8X"))
    if extended:
        check_dimensions(*(1 + int.from_bytes(extended[at : at + 3], "little") for at in (4, 7)))
    if b"ANMF" in chunks:
        return ImageFile("WEBP", data[:end], exif, profile)
    if b"VP8L" in chunks:
        picture = _webp_chunk(b"VP8L", chunks[b"VP8L"])
        (bits,) = struct.unpack_from("<I", chunks[b"VP8L"], 1)
        check_dimensions(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    else:
        lossy = chunks.get(b"VP8 ", b"")
        picture = _webp_chunk(b"VP8 ", lossy)
        width, height = struct.unpack_from("<HH", lossy, 6)
        check_dimensions(width & 0x3FFF, height & 0x3FFF)
        if extended and b"ALPH" in chunks:
            header = _webp_chunk(b"VP8X", b"\x10" + bytes(3) + extended[4:10])
            picture = header + _webp_chunk(b"ALPH", chunks[b"ALPH"]) + picture
    return ImageFile("WEBP", _webp_chunk(b"RIFF", b"WEBP" + picture), exif, profile, clean=True)


def _webp_chunks(data: bytes, end: int) -> dict[bytes, bytes]:
    """Return the first chunk of each type."""
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise AppError("image_truncated")
        chunks.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    return chunks


def _webp_chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(payload)) + payload + bytes(len(payload) % 2)


def read_gif(data: bytes) -> ImageFile:
    """Return the GIF from its first picture on, which may be larger than the screen of the header."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + _palette_bytes(flags)
    head = [data[:at]]
    while data[at] == 0x21:
        if data[at + 1 : at + 3] == b"\xf9\x04":
            head[1:] = [b"\x21\xf9\4" + bytes([data[at + 3] & 1, 0, 0, data[at + 6], 0])]
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    kind, left, top, across, down = struct.unpack_from("<BHHHH", data, at)
    if kind != 0x2C:
        raise AppError("image_truncated")
    check_dimensions(max(width, left + across), max(height, top + down))
    return ImageFile("GIF", b"".join(head) + data[at:])


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
