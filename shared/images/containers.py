"""Image files as bytes: their dimensions, and what is left of them without metadata. No pixel is decoded."""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from shared.errors import AppError
from shared.images.avif import FrameSize, frame_sizes

Format = Literal["PNG", "JPEG", "WEBP", "GIF", "AVIF"]

MAX_PIXELS: Final = 40_000_000
# Only streams of several frames may choose another size for a frame than they announce, rounded up to powers of 2.
_MAX_FRAME_PIXELS: Final = 4 * MAX_PIXELS
_MAX_INTERLACED_BYTES: Final = 200_000_000
# Decoded planes, the pixels made of them and Pillow's copy are held at once: with more, 512 MB would not do.
_MAX_AVIF_BYTES: Final = 396_000_000
_PNG_CHANNELS: Final = {2: 3, 4: 2, 6: 4}
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
    kept, exif, profile = [memoryview(data)[:8]], b"", b""
    for kind, chunk in _png_chunks(data):
        if kind == b"IHDR":
            _check_png_header(*struct.unpack_from(">IIBBBBB", chunk, 8))
        if kind in {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}:
            kept.append(chunk)
        elif kind == b"eXIf":
            exif = bytes(chunk[8:-4])
        elif kind == b"iCCP":
            profile = _inflate_profile(bytes(chunk[8:-4]))
    return ImageFile("PNG", b"".join(kept), exif, profile)


def _check_png_header(
    width: int, height: int, depth: int, colour: int, _compression: int, _filter: int, interlaced: int
) -> None:
    check_dimensions(width, height)
    if interlaced and width * height * depth * _PNG_CHANNELS.get(colour, 1) > 8 * _MAX_INTERLACED_BYTES:
        raise AppError("too_many_pixels", "An interlaced PNG must be held whole. Save it without interlacing.")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield type and whole chunk, up to and with IEND."""
    at, kind, view = 8, b"", memoryview(data)
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = view[at : at + 12 + length]
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
    kept, exif, profile, last = [memoryview(data)[:2]], b"", dict[int, bytes](), 0
    for last, segment in _jpeg_segments(data):
        name = bytes(segment[4:16])
        if last in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", segment, 5)
            check_dimensions(width, height)
        if last in _JPEG_KEPT:
            kept.append(segment)
        elif last == 0xE0 and name.startswith(b"JFIF\0"):
            kept.append(memoryview(_JFIF))
        elif last == 0xE1 and name.startswith(b"Exif\0\0"):
            exif = exif or bytes(segment[4:])
        elif last == 0xE2 and name == b"ICC_PROFILE\0":
            profile[segment[16]] = bytes(segment[18:])
        elif last == 0xEE and name.startswith(b"Adobe") and len(segment) >= 16:
            kept.append(memoryview(b"\xff\xee\0\x0e" + segment[4:16]))
    icc_profile = b"".join(profile[number] for number in sorted(profile))
    clean = last == _EOI
    return ImageFile("JPEG", b"".join(kept) if clean else data, exif, icc_profile, clean)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, memoryview]]:
    """Yield marker and segment, a scan's data with its header, until the image ends or oddities come."""
    at, view = 2, memoryview(data)
    while data.startswith(b"\xff", at):
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == _EOI:
            yield marker, view[at : at + 2]
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker not in _JPEG_KEPT | _JPEG_DROPPED or not at + 4 <= end <= len(data):
            return
        if marker == _SOS:
            found = _END_OF_SCAN.search(data, end)
            if found is None:
                return
            end = found.start()
        yield marker, view[at:end]
        at = end


def read_webp(data: bytes) -> ImageFile:
    """Return the WebP's still picture in the simplest container; an animation's first, without what is around it."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise AppError("image_truncated")
    chunks = _webp_chunks(memoryview(data)[12:end])
    exif, profile, extended = (bytes(chunks.get(kind, b"")) for kind in (b"EXIF", b"ICCP", b"VP8X"))
    if extended:
        check_dimensions(*(1 + int.from_bytes(extended[at : at + 3], "little") for at in (4, 7)))
    frame = chunks.get(b"ANMF")
    picture = _webp_picture(chunks if frame is None else _webp_chunks(frame[16:]))
    file = b"".join((struct.pack("<4sI4s", b"RIFF", 4 + sum(map(len, picture)), b"WEBP"), *picture))
    return ImageFile("WEBP", file, exif, profile, clean=frame is None)


def _webp_picture(chunks: Mapping[bytes, memoryview]) -> list[bytes | memoryview]:
    """Return the chunks of one picture, whose size is checked."""
    if b"VP8L" in chunks:
        (bits,) = struct.unpack_from("<I", chunks[b"VP8L"], 1)
        check_dimensions(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
        return _webp_chunk(b"VP8L", chunks[b"VP8L"])
    if b"VP8 " not in chunks:
        raise AppError("image_truncated")
    width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", chunks[b"VP8 "], 6))
    check_dimensions(width, height)
    picture = _webp_chunk(b"VP8 ", chunks[b"VP8 "])
    if b"ALPH" not in chunks:
        return picture
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    extended = memoryview(b"\x10" + bytes(3) + canvas)
    return [*_webp_chunk(b"VP8X", extended), *_webp_chunk(b"ALPH", chunks[b"ALPH"]), *picture]


def _webp_chunks(data: memoryview) -> dict[bytes, memoryview]:
    """Return the first chunk of each type."""
    chunks: dict[bytes, memoryview] = {}
    at = 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > len(data):
            raise AppError("image_truncated")
        chunks.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    return chunks


def _webp_chunk(kind: bytes, payload: memoryview) -> list[bytes | memoryview]:
    return [struct.pack("<4sI", kind, len(payload)), payload, bytes(len(payload) % 2)]


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


def read_avif(data: bytes) -> ImageFile:
    """Return the AVIF as the still picture that it is, or that its animation begins with."""
    try:
        pictures = list(frame_sizes(data))
    except (LookupError, ValueError) as error:
        raise AppError("image_truncated") from error
    for picture in pictures:
        check_dimensions(picture.width, picture.height)
        if picture.largest[0] * picture.largest[1] > _MAX_FRAME_PIXELS:
            raise AppError("unsupported_image_type", "The AVIF hides how large it is. Save it again as WebP.")
    if _decoding_bytes(pictures) > _MAX_AVIF_BYTES:
        raise AppError("too_many_pixels", "An AVIF of this depth may have 30 megapixels at most. Scale it down first.")
    return ImageFile("AVIF", data[:8] + b"avif" + data[12:])


def _decoding_bytes(pictures: Sequence[FrameSize]) -> int:
    """Return what decoding holds at once; tiles count together, and a picture without colour is transparency."""
    coloured = [one for one in pictures if one.samples_per_pixel > 1] or pictures
    pixels = sum(one.width * one.height for one in coloured)
    return sum(one.plane_bytes for one in pictures) + pixels * (7 if len(coloured) == len(pictures) else 8)
