"""Which image format some bytes are, by their content, and how the picture in them is turned."""

import struct
from collections.abc import Callable, Mapping
from typing import Final

from shared.errors import AppError
from shared.images.containers import Format, ImageFile, read_avif, read_gif, read_jpeg, read_png, read_webp

# What people send by mistake: (offset, bytes found there, name).
_OTHER_TYPES: Final = (
    (0, b"%PDF-", "PDF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n\x87\n", "JPEG XL"),
    (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%!PS", "PostScript"),
    (0, b"\x1a\x45\xdf\xa3", "video"),
    (0, b"\0\0\1\xba", "video"),
    (8, b"AVI ", "video"),
    (0, b"OggS", "video or audio"),
    (8, b"WAVE", "audio"),
    (0, b"ID3", "audio"),
)
_HEIF_BRANDS: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_ORIENTATION_TAG: Final = 0x0112
_LONG: Final = 4


def read_image_file(data: bytes) -> ImageFile:
    """Return the file by its content, whatever type was declared, its header checked, its metadata apart.

    Raises `not_an_image`, `unsupported_image_type`, `image_truncated` or `too_many_pixels`.
    """
    image_format = _format(data)
    if image_format is None:
        raise _refusal(data)
    try:
        return _READERS[image_format](data)
    except (struct.error, IndexError) as error:
        raise AppError("image_truncated") from error


def orientation(exif: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where it is missing or malformed."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2], "<")
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from(order + "HH", tiff, entry)
            if tag == _ORIENTATION_TAG:
                (value,) = struct.unpack_from(order + ("I" if kind == _LONG else "H"), tiff, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _format(data: bytes) -> Format | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"RIFF") and data.startswith(b"WEBP", 8):
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    return "AVIF" if _brands(data) & {b"avif", b"avis"} else None


def _brands(data: bytes) -> set[bytes]:
    """Return the major and the compatible brands of an ISO media file; nothing for any other."""
    if not data.startswith(b"ftyp", 4):
        return set()
    end = min(int.from_bytes(data[:4], "big"), 256)
    return {data[8:12]} | {data[at : at + 4] for at in range(16, end, 4)}


def _refusal(data: bytes) -> AppError:
    """Return the error that says what the bytes are instead, as far as can be told."""
    if not data:
        return AppError("not_an_image", "The image is empty.")
    name = _other_type(data)
    if name is None:
        return AppError("not_an_image")
    return AppError("unsupported_image_type", f"This is {name}. Convert it to PNG, JPEG, WebP, GIF or AVIF.")


def _other_type(data: bytes) -> str | None:
    if brands := _brands(data):
        return "HEIC" if brands & _HEIF_BRANDS else "video"
    if data.startswith(b"BM") and data.startswith(bytes(4), 6):
        return "BMP"
    head = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith((b"<svg", b"<?xml", b"<!--", b"<!DOCTYPE svg")) and b"<svg" in head:
        return "SVG"
    return next((name for offset, magic, name in _OTHER_TYPES if data.startswith(magic, offset)), None)


_READERS: Final[Mapping[Format, Callable[[bytes], ImageFile]]] = {
    "PNG": read_png,
    "JPEG": read_jpeg,
    "WEBP": read_webp,
    "GIF": read_gif,
    "AVIF": read_avif,
}
