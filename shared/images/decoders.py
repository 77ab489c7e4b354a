"""Image files decoded to pixels, by the fastest decoder for each format, scaled down on the way where it can.

PNG and JPEG: libvips, which streams, so that no large picture is ever held whole unless it has transparency.
WebP: libwebp, which scales while it decodes. GIF, AVIF and JPEG in CMYK: Pillow, and PNG and JPEG too where libvips is
not installed: in functions that take images of 4 MiB at most, whose artifacts it would make half as large again.
"""

import logging
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from typing import Any, Final

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile as PillowDecoder
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from shared.errors import AppError
from shared.images import webp
from shared.images.containers import Format, ImageFile, check_dimensions

# The limit is checked before Pillow sees the file; its own would warn below it.
Image.MAX_IMAGE_PIXELS = None

# By class, not by Image.open: that one loads whatever plugins it needs to make sense of a file.
_PILLOW: Final[Mapping[Format, Callable[[BytesIO], PillowDecoder]]] = {
    "JPEG": JpegImageFile,
    "GIF": GifImageFile,
    "AVIF": AvifImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
}
_MODES: Final = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
# Beyond, a picture with transparency is scaled as it streams: dearer, but 40 megapixels would not fit into 512 MB.
_MAX_HELD_PIXELS: Final = 16_000_000
_JPEG_SHRINKS: Final = (8, 4, 2, 1)


def decode(source: ImageFile, side: int) -> tuple[Image.Image, bool]:
    """Return the first picture, and whether it was scaled on the way; a side may still exceed the given one.

    Raises `image_truncated` for whatever the decoder cannot read to its end.
    """
    try:
        return _DECODERS[source.format](source, side)
    except AppError:
        raise
    # The decoders share no base class for what damaged files make them raise.
    except Exception as error:
        raise AppError("image_truncated") from error


def fit(image: Image.Image, side: int) -> Image.Image:
    """Return the image scaled down to the side, the same object where it fits already."""
    # A gap of 1 averages whole blocks first: a tenth of the time of Lanczos for a loss that nobody sees.
    size = fitting(image.size, side)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.0)


def fitting(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the size scaled down, never up, so that neither side exceeds the given one."""
    width, height = size
    longest = max(size)
    if longest <= side:
        return size
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))


def _decode_png(source: ImageFile, side: int) -> tuple[Image.Image, bool]:
    if _vips() is None:
        PngImageFile(BytesIO(source.data)).verify()  # to decode alone compares no checksums
        return _by_pillow(source, side)
    pixels = _vips().Image.pngload_buffer(source.data, access="sequential", fail_on="error")
    size = pixels.width, pixels.height
    if pixels.hasalpha() and size[0] * size[1] > _MAX_HELD_PIXELS:
        return _scaled(pixels.premultiply(), size, side, lambda small: small.unpremultiply().cast(pixels.format))
    if pixels.hasalpha():
        pixels = _without_idle_alpha(_in_8_bits(pixels))
    return (_to_pillow(pixels), False) if pixels.hasalpha() else _scaled(pixels, size, side)


def _without_idle_alpha(pixels: Any) -> Any:
    """Return the pixels held in memory, without their alpha channel if it hides nothing."""
    memory = pixels.write_to_memory()
    held = _vips().Image.new_from_memory(memory, pixels.width, pixels.height, pixels.bands, "uchar")
    held = held.copy(interpretation=pixels.interpretation)
    colours = pixels.bands - 1
    return held if held[colours].min() < 255 else held.extract_band(0, n=colours)


def _in_8_bits(pixels: Any) -> Any:
    return pixels if pixels.format == "uchar" else pixels.cast("uchar", shift=True)


def _decode_jpeg(source: ImageFile, side: int) -> tuple[Image.Image, bool]:
    if _vips() is None:
        return _by_pillow(source, side)
    load = _vips().Image.jpegload_buffer
    header = load(source.data)
    if header.bands not in _MODES or header.interpretation == "cmyk":
        return _by_pillow(source, side)
    size = header.width, header.height
    smallest = min(have // want for have, want in zip(size, fitting(size, side), strict=True))
    shrink = next(shrink for shrink in _JPEG_SHRINKS if shrink <= smallest)
    return _scaled(load(source.data, shrink=shrink, access="sequential", fail_on="error"), size, side)


def _decode_webp(source: ImageFile, side: int) -> tuple[Image.Image, bool]:
    if webp.available():
        return webp.decode(source.data, lambda size: fitting(size, side))
    if _vips() is None:
        return _by_pillow(source, side)
    load = _vips().Image.webpload_buffer
    header = load(source.data)
    size = header.width, header.height
    return _scaled(load(source.data, scale=min(1, side / max(size)), fail_on="error"), size, side)


def _scaled(
    pixels: Any, size: tuple[int, int], side: int, finish: Callable[[Any], Any] = lambda small: small
) -> tuple[Image.Image, bool]:
    """Return the pixels, whose original size is given, scaled the rest of the way."""
    width, height = fitting(size, side)
    if (width, height) != (pixels.width, pixels.height):
        pixels = pixels.resize(width / pixels.width, vscale=height / pixels.height, kernel="linear")
    return _to_pillow(_in_8_bits(finish(pixels))), (width, height) != size


def _to_pillow(pixels: Any) -> Image.Image:
    mode = _MODES[pixels.bands]
    return Image.frombuffer(mode, (pixels.width, pixels.height), pixels.write_to_memory(), "raw", mode, 0, 1)


def _by_pillow(source: ImageFile, side: int) -> tuple[Image.Image, bool]:
    image = _PILLOW[source.format](BytesIO(source.data))
    check_dimensions(*image.size)
    size = image.size
    image.draft(None, fitting(size, side))
    image.load()
    return image, image.size != size


@cache
def _vips() -> Any:
    """Return libvips, loaded where it is used; None where it is not installed."""
    try:
        import pyvips  # noqa: PLC0415
    except ImportError:
        return None

    pyvips.cache_set_max(0)
    logging.getLogger("pyvips").setLevel(logging.ERROR)
    return pyvips


_DECODERS: Final[Mapping[Format, Callable[[ImageFile, int], tuple[Image.Image, bool]]]] = {
    "PNG": _decode_png,
    "JPEG": _decode_jpeg,
    "WEBP": _decode_webp,
    "GIF": _by_pillow,
    "AVIF": _by_pillow,
}
