"""The image pipeline, without I/O: a picture in; a WebP of at most 1920 px, thumbnail and placeholder out."""

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Final, Literal

import pybase64
from PIL import Image, ImageChops, ImageCms
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile as Decoder
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from shared import thumbhash
from shared.errors import AppError
from shared.image_containers import Format, ImageFile, check_dimensions
from shared.image_formats import orientation, read_image_file

MAX_SIDE: Final = 1920
THUMBNAIL_SIDE: Final = 320
_PLACEHOLDER_SIDE: Final = 32

# Method 2 at quality 82 takes half the CPU for 15 % more bytes, which cost more to send to the first two viewers.
# Method 6 takes over ten times as long where there is alpha.
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


# By class, not by Image.open: that one loads whatever plugins it needs to make sense of a file.
_DECODERS: Final[Mapping[Format, Callable[[BytesIO], Decoder]]] = {
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "WEBP": WebPImageFile,
    "GIF": GifImageFile,
    "AVIF": AvifImageFile,
}
# The limit is checked before Pillow sees the file; its own would warn below it.
Image.MAX_IMAGE_PIXELS = None

_SRGB: Final = ImageCms.createProfile("sRGB")
_DEVICE_MODES: Final = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_LEVELS: Final = range(0, 256, 51)

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
    small = _fit(picture, THUMBNAIL_SIDE)
    return StoredImage(image, _encode(small), _placeholder(small))


def decode_base64(text: str, limit: int) -> bytes:
    """Return the bytes of plain or URL-safe base64, or of a `data:` URL; line breaks and padding may vary.

    Raises `image_too_large` above `limit` bytes, before it decodes, and `not_an_image` for anything else.
    """
    try:
        encoded = _base64_part(text).encode("ascii").translate(_PLAIN_ALPHABET, _WHITESPACE).rstrip(b"=")
    except UnicodeEncodeError as error:
        raise AppError("not_an_image", _NOT_BASE64) from error
    if len(encoded) * 3 // 4 > limit:
        raise AppError("image_too_large")
    try:
        return pybase64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except binascii.Error as error:
        raise AppError("not_an_image", _NOT_BASE64) from error


def _base64_part(text: str) -> str:
    if text[:5].lower() != "data:":
        return text
    head, comma, encoded = text.partition(",")
    if not comma or not head.lower().rstrip().endswith(";base64"):
        raise AppError("not_an_image", _NOT_BASE64)
    return encoded


def _picture(source: ImageFile) -> tuple[Image.Image, bool]:
    """Return the picture as it shall be seen, and whether its pixels are those of the file."""
    decoded, shrunk = _decode(source)
    plain = _in_plain_mode(decoded)
    scaled = _fit(plain, MAX_SIDE)
    coloured = _to_srgb(scaled, source.icc_profile or decoded.info.get("icc_profile") or b"")
    turn = _UPRIGHT.get(orientation(source.exif or decoded.info.get("exif") or b""))
    as_sent = not shrunk and scaled is plain and coloured is scaled and turn is None
    return (coloured if turn is None else coloured.transpose(turn)), as_sent


def _decode(source: ImageFile) -> tuple[Image.Image, bool]:
    """Return the first picture, fully decoded, and whether the decoder has shrunk it, as JPEG's can."""
    try:
        image = _DECODERS[source.format](BytesIO(source.data))
        check_dimensions(*image.size)
        size = image.size
        image.draft(None, _fitting(size, MAX_SIDE))
        image.load()
    except AppError:
        raise
    # Pillow and its codecs share no base class for what damaged files make them raise.
    except Exception as error:
        raise AppError("image_truncated") from error
    return image, image.size != size


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


def _fit(image: Image.Image, side: int) -> Image.Image:
    # A gap of 1 averages whole blocks first: a tenth of the time of Lanczos for a loss that nobody sees.
    size = _fitting(image.size, side)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.0)


def _fitting(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the size scaled down, never up, so that neither side exceeds the given one."""
    width, height = size
    longest = max(size)
    if longest <= side:
        return size
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return the image in sRGB, the same object where it is already; a broken profile counts as none."""
    if profile:
        try:
            return _through_profile(image, profile)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError):
            pass
    return image.convert("RGB") if image.mode == "CMYK" else image


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image:
    device = ImageCms.ImageCmsProfile(BytesIO(profile))
    mode = _DEVICE_MODES[device.profile.xcolor_space]
    if (mode == "CMYK") != (image.mode == "CMYK"):
        raise ValueError("the profile is of another kind of device")
    transform = ImageCms.buildTransform(device, _SRGB, mode, "RGB")
    if mode != "CMYK" and _changes_nothing(transform, mode):
        return image
    colours = image if image.mode == mode else image.convert(mode)
    converted = transform.apply(colours)
    if image.mode == "RGBA":
        converted.putalpha(image.getchannel("A"))
    return converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Tell whether the profile is sRGB under some name: it moves no colour of a coarse cube by over 2."""
    cube = bytes(level for r in _LEVELS for g in _LEVELS for b in _LEVELS for level in (r, g, b))
    probe = Image.frombytes("RGB", (len(cube) // 3, 1), cube).convert(mode)
    return max(ImageChops.difference(probe.convert("RGB"), transform.apply(probe)).tobytes()) <= 2


def _encode(image: Image.Image) -> Encoded:
    out = BytesIO()
    image.save(out, "WEBP", quality=QUALITY, method=METHOD)
    return Encoded(out.getvalue(), *image.size, "image/webp")


def _placeholder(image: Image.Image) -> bytes:
    tiny = _fit(image, _PLACEHOLDER_SIDE).convert("RGBA")
    return thumbhash.encode(*tiny.size, tiny.tobytes())
