"""The image pipeline, without I/O: a picture in; a WebP of at most 1920 px, thumbnail and placeholder out."""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Final, Literal

import pybase64
from PIL import Image

from shared.errors import AppError
from shared.images import thumbhash
from shared.images.colours import to_srgb
from shared.images.containers import Format, ImageFile
from shared.images.decoders import decode, fit
from shared.images.formats import orientation, read_image_file

MAX_SIDE: Final = 1920
THUMBNAIL_SIDE: Final = 320
_PLACEHOLDER_SIDE: Final = 32

# From the table that `make bench` prints. Method 2 takes half the CPU for nearly a fifth more bytes at the same SSIM,
# which cost more to send to the first two viewers; methods 3, 5 and 6 gain nothing for what they cost.
QUALITY: Final = 80
METHOD: Final = 4

MimeType = Literal["image/webp", "image/jpeg"]

_KEPT_TYPES: Final[Mapping[Format, MimeType]] = {"JPEG": "image/jpeg", "WEBP": "image/webp"}
_WHITESPACE: Final = b" \t\r\n\f\v"
_PLAIN_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")
_NOT_BASE64: Final = "Send the image's bytes as base64, or as a `data:` URL that holds base64."


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image file, ready to be stored and served; sizes in pixels."""

    data: bytes
    width: int
    height: int
    mime_type: MimeType


@dataclass(frozen=True, slots=True)
class StoredImage:
    """What is kept of an upload: the image, a thumbnail of 320 px, and a ThumbHash of about 25 bytes."""

    image: Encoded
    thumbnail: Encoded
    placeholder: bytes


_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def optimise(data: bytes) -> StoredImage:
    """Return the image as it is stored: upright, sRGB, without metadata, 1920 px at most on its longer side.

    A clean JPEG or WebP that is no larger than its re-encoding stays as it is. Raises `not_an_image`,
    `unsupported_image_type`, `image_truncated` or `too_many_pixels`.
    """
    source = read_image_file(data)
    picture, as_sent = _picture(source)
    image = _encode(picture)
    if as_sent and source.clean and len(source.data) <= len(image.data):
        image = replace(image, data=source.data, mime_type=_KEPT_TYPES[source.format])
    small = fit(picture, THUMBNAIL_SIDE)
    return StoredImage(image, _encode(small), _placeholder(small))


def stored_type(data: bytes) -> MimeType | None:
    """Return the type of a file that is already as images are stored; None where `optimise` has something to do.

    Raises what `optimise` does.
    """
    source = read_image_file(data)
    if not source.clean or source.data != data:
        return None
    decoded, shrunk = decode(source, MAX_SIDE)
    is_plain = not shrunk and max(decoded.size) <= MAX_SIDE and decoded.mode != "CMYK"
    return _KEPT_TYPES[source.format] if is_plain else None


def decode_base64(text: str, limit: int) -> bytes:
    """Return the bytes of plain or URL-safe base64, or of a `data:` URL; line breaks and padding may vary.

    Raises `image_too_large` above `limit` bytes, before it decodes, and `not_an_image` for anything else.
    """
    try:
        encoded = _base64_part(text).encode("ascii")
        if len(encoded) * 3 // 4 > limit:
            encoded = _normalised(encoded, limit)
        try:
            data = pybase64.b64decode(encoded, validate=True)
        except binascii.Error:
            data = pybase64.b64decode(_normalised(encoded, limit), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise AppError("not_an_image", _NOT_BASE64) from error
    return data


def _normalised(encoded: bytes, limit: int) -> bytes:
    """Return the text in the plain alphabet, padded, without whitespace; it costs as much as decoding it."""
    bare = encoded.translate(_PLAIN_ALPHABET, _WHITESPACE).rstrip(b"=")
    if len(bare) * 3 // 4 > limit:
        raise AppError("image_too_large")
    return bare + b"=" * (-len(bare) % 4)


def _base64_part(text: str) -> str:
    if text[:5].lower() != "data:":
        return text
    head, comma, encoded = text.partition(",")
    if not comma or not head.lower().rstrip().endswith(";base64"):
        raise AppError("not_an_image", _NOT_BASE64)
    return encoded


def _picture(source: ImageFile) -> tuple[Image.Image, bool]:
    """Return the picture as it shall be seen, and whether its pixels are those of the file."""
    decoded, shrunk = decode(source, MAX_SIDE)
    plain = _in_plain_mode(decoded)
    scaled = fit(plain, MAX_SIDE)
    coloured = to_srgb(scaled, source.icc_profile or decoded.info.get("icc_profile") or b"")
    turn = _UPRIGHT.get(orientation(source.exif or decoded.info.get("exif") or b""))
    as_sent = not shrunk and scaled is plain and coloured is scaled and turn is None
    return (coloured if turn is None else coloured.transpose(turn)), as_sent


def _in_plain_mode(image: Image.Image) -> Image.Image:
    """Return the image as 8-bit L, RGB, CMYK or, only where some pixel is not opaque, RGBA."""
    if image.has_transparency_data:
        with_alpha = image if image.mode == "RGBA" else image.convert("RGBA")
        lowest, _ = with_alpha.getchannel("A").getextrema()
        return with_alpha if lowest != 255 else with_alpha.convert("RGB")
    if image.mode == "I;16":
        return image.point(lambda value: value * (1 / 257)).convert("L")
    if image.mode in {"L", "RGB", "CMYK"}:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _encode(image: Image.Image) -> Encoded:
    out = BytesIO()
    image.save(out, "WEBP", quality=QUALITY, method=METHOD)
    return Encoded(out.getvalue(), *image.size, "image/webp")


def _placeholder(image: Image.Image) -> bytes:
    tiny = fit(image, _PLACEHOLDER_SIDE).convert("RGBA")
    return thumbhash.encode(*tiny.size, tiny.tobytes())
