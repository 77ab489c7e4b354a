"""Uploads to measure with: by subject, size and type, drawn the same at each call."""

import io
from collections.abc import Iterator
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFont

from infra.local.demo.sample_frames import draw_frames

_MEGAPIXEL = (1344, 768)
_FULL_HD = (1920, 1080)
_FOUR_MEGAPIXELS = (2560, 1600)
_ULTRA_HD = (3840, 2160)


def files() -> Iterator[tuple[str, bytes]]:
    """Yield uploads as they come: by subject, size and type."""
    paintings = [Image.open(io.BytesIO(frame.png)).convert("RGB") for frame in draw_frames()]
    photo = _photo(Random(1))
    text, noise = _text(), _noise(Random(2))
    for name, image, size in (
        ("painting", paintings[1], _MEGAPIXEL),
        ("painting", paintings[2], _FULL_HD),
        ("photo", photo, _MEGAPIXEL),
        ("photo", photo, _FOUR_MEGAPIXELS),
        ("photo", photo, _ULTRA_HD),
        ("text", text, _FULL_HD),
        ("noise", noise, _MEGAPIXEL),
    ):
        sized = image.resize(size, Image.Resampling.BICUBIC)
        for file_format, options in (
            ("JPEG", {"quality": 90}),
            ("WebP", {"quality": 90, "method": 0}),
            ("PNG", {"compress_level": 3}),
        ):
            out = io.BytesIO()
            sized.save(out, file_format, **options)
            yield f"{name} {size[0]} x {size[1]} {file_format}", out.getvalue()


def _photo(rng: Random) -> Image.Image:
    """Return what codecs take for a photograph: detail at every scale, with little noise."""
    channels = []
    for _ in range(3):
        total = Image.new("L", _ULTRA_HD, 128)
        for octave in range(9):
            cells = (4 * 2**octave, 2 * 2**octave)
            layer = Image.frombytes("L", cells, rng.randbytes(cells[0] * cells[1]))
            total = Image.blend(total, layer.resize(_ULTRA_HD, Image.Resampling.BICUBIC), 0.72 ** (octave + 1))
        channels.append(total)
    return Image.merge("RGB", channels)


def _text() -> Image.Image:
    page = Image.new("RGB", _FULL_HD, (252, 251, 248))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(22)
    for line in range(34):
        pen.text((90, 40 + 30 * line), "The quick brown fox jumps over the lazy dog. " * 3, (30, 32, 40), font)
    return page


def _noise(rng: Random) -> Image.Image:
    plain = Image.new("RGB", _MEGAPIXEL, (128, 128, 128))
    grains = [Image.frombytes("L", _MEGAPIXEL, rng.randbytes(_MEGAPIXEL[0] * _MEGAPIXEL[1])) for _ in range(3)]
    return ImageChops.add(plain, Image.merge("RGB", grains), scale=2)
