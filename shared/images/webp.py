"""Still WebP files decoded at the size they are wanted at, by the libwebp that comes with Pillow's wheel.

Pillow's own way holds the whole animation canvas several times over, and cannot scale. The structures follow
webp/decode.h; libwebp refuses to fill them where its ABI is another than theirs.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import PIL
from PIL import Image

_ABI_VERSION: Final = 0x0210
_MODE_RGBA: Final = 1


class _Features(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("width", "height", "has_alpha", "has_animation", "format")),
        ("pad", ctypes.c_uint32 * 5),
    )


class _Buffer(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("colorspace", "width", "height", "is_external_memory")),
        ("pixels", ctypes.c_void_p),
        ("stride", ctypes.c_int),
        ("size", ctypes.c_size_t),
        ("rest_of_union", ctypes.c_uint8 * 56),
        ("pad", ctypes.c_uint32 * 4),
        ("private_memory", ctypes.c_void_p),
    )


class _Options(ctypes.Structure):
    _fields_ = (
        ("bypass_filtering", ctypes.c_int),
        ("no_fancy_upsampling", ctypes.c_int),
        ("cropping", ctypes.c_int * 5),
        ("use_scaling", ctypes.c_int),
        ("scaled_width", ctypes.c_int),
        ("scaled_height", ctypes.c_int),
        ("use_threads", ctypes.c_int),
        ("dithering_strength", ctypes.c_int),
        ("flip", ctypes.c_int),
        ("alpha_dithering_strength", ctypes.c_int),
        ("pad", ctypes.c_uint32 * 5),
    )


class _Config(ctypes.Structure):
    _fields_ = (("input", _Features), ("output", _Buffer), ("options", _Options))


def available() -> bool:
    """Tell whether Pillow came with a libwebp of the known ABI."""
    library = _library()
    return library is not None and bool(library.WebPInitDecoderConfigInternal(ctypes.byref(_Config()), _ABI_VERSION))


def decode(data: bytes, fitting: Callable[[tuple[int, int]], tuple[int, int]]) -> tuple[Image.Image, bool]:
    """Return the still picture as RGB or RGBA at the size that `fitting` makes of its own, and whether it scaled.

    Raises `OSError` for damaged data; call it only where the decoder is `available`.
    """
    library = _library()
    assert library is not None
    config = _Config()
    library.WebPInitDecoderConfigInternal(ctypes.byref(config), _ABI_VERSION)
    if library.WebPGetFeaturesInternal(data, len(data), ctypes.byref(config.input), _ABI_VERSION):
        raise OSError("libwebp cannot read the header")
    size = config.input.width, config.input.height
    width, height = fitting(size)
    config.options.use_scaling = (width, height) != size
    config.options.scaled_width, config.options.scaled_height = width, height
    pixels = bytearray(4 * width * height)
    output = config.output
    output.colorspace, output.is_external_memory = _MODE_RGBA, 1
    output.pixels = ctypes.addressof((ctypes.c_uint8 * len(pixels)).from_buffer(pixels))
    output.stride, output.size = 4 * width, len(pixels)
    if library.WebPDecode(data, len(data), ctypes.byref(config)):
        raise OSError("libwebp cannot decode the picture")
    if config.input.has_alpha:
        return Image.frombuffer("RGBA", (width, height), pixels, "raw", "RGBA", 0, 1), (width, height) != size
    return Image.frombytes("RGB", (width, height), pixels, "raw", "RGBX", 0, 1), (width, height) != size


@cache
def _library() -> ctypes.CDLL | None:
    package = Path(PIL.__file__).parent
    found = [*package.parent.glob("pillow.libs/libwebp-*.so*"), *package.glob(".dylibs/libwebp.*dylib")]
    if not found:
        return None
    library = ctypes.CDLL(str(found[0]))
    file, config = (ctypes.c_char_p, ctypes.c_size_t), ctypes.c_void_p
    library.WebPInitDecoderConfigInternal.argtypes = [config, ctypes.c_int]
    library.WebPGetFeaturesInternal.argtypes = [*file, config, ctypes.c_int]
    library.WebPDecode.argtypes = [*file, config]
    return library
