"""What storing an image costs beyond encoding it: CPU of the whole pipeline against libwebp alone."""

import io
from collections.abc import Iterator
from random import Random
from statistics import median
from time import process_time

from PIL import Image, ImageChops, ImageDraw, ImageFont

from infra.local.bench.figures import Figure, compared, table
from infra.local.demo.sample_frames import draw_frames
from shared.images import METHOD, QUALITY, optimise

_ROUNDS = 3
_MEGAPIXEL = (1344, 768)
_FULL_HD = (1920, 1080)
_FOUR_MEGAPIXELS = (2560, 1600)
_ULTRA_HD = (3840, 2160)


def measure() -> list[Figure]:
    """Return the CPU time of `optimise` against Pillow's encoder on the scaled image, with the same parameters."""
    per_file = {name: _compare(data) for name, data in _files()}
    peer = f"WebP encoder alone, quality {QUALITY}, method {METHOD}"
    figures = [compared("upload CPU, all images", "ms", peer, list(per_file.values()), limit=1.3)]
    for file_format in ("JPEG", "WebP", "PNG"):
        pairs = [pair for name, pair in per_file.items() if file_format in name]
        figures.append(compared(f"upload CPU, {file_format}", "ms", peer, pairs))
    return figures


def _compare(data: bytes) -> tuple[float, float]:
    """Return the CPU milliseconds of the pipeline and of the encoder, medians of turns."""
    with Image.open(io.BytesIO(optimise(data).image.data)) as stored, Image.open(io.BytesIO(data)) as original:
        scaled = original.convert("RGB").resize(stored.size, Image.Resampling.BICUBIC, reducing_gap=1.0)
    turns = [(_cpu(lambda: optimise(data)), _cpu(lambda: _encode(scaled))) for _ in range(_ROUNDS)]
    return median(ours for ours, _ in turns), median(theirs for _, theirs in turns)


def _cpu(work: object) -> float:
    assert callable(work)
    start = process_time()
    work()
    return 1000 * (process_time() - start)


def _encode(image: Image.Image) -> None:
    image.save(io.BytesIO(), "WEBP", quality=QUALITY, method=METHOD)


def _files() -> Iterator[tuple[str, bytes]]:
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


if __name__ == "__main__":
    print(table(measure()))
