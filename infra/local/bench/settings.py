"""The table that the encoder's settings are chosen from: CPU and bytes of each at one and the same SSIM."""

from collections.abc import Callable, Iterator
from io import BytesIO
from statistics import mean, median
from typing import NamedTuple

from PIL import Image

from infra.local.bench.figures import columns
from infra.local.bench.peers import OURS, Effort, libwebp, measured
from infra.local.bench.pictures import files
from infra.local.bench.quality import ssim

_SUBJECTS = ("painting 1344 x 768 PNG", "photo 1344 x 768 PNG", "text 1920 x 1080 PNG")
_STEPS, _ROUNDS = 6, 3

Encoder = Callable[[Image.Image, int], bytes]


_DEFAULT = Effort(80, 4)


class _Cost(NamedTuple):
    """An encoder at the quality that is as good as the default, CPU and bytes as multiples of the default's."""

    quality: int
    cpu: float
    size: float
    ssim: float


def pareto() -> str:
    """Return the table in Markdown, relative to libwebp's own default, quality 80 with method 4."""
    images = [_opened(data) for name, data in files() if name in _SUBJECTS]
    rows: list[tuple[str, ...]] = [("encoder", "quality", "CPU", "bytes", "SSIM", "")]
    for name, encode in _encoders():
        costs = [_cost(image, encode) for image in images]
        row = (
            name,
            f"{mean(cost.quality for cost in costs):.0f}",
            f"{mean(cost.cpu for cost in costs):.2f} ×",
            f"{mean(cost.size for cost in costs):.2f} ×",
            f"{mean(cost.ssim for cost in costs):.4f}",
            "used" if name == f"WebP, method {OURS.method}" else "",
        )
        rows.append(row)
    return columns(rows)


def _encoders() -> Iterator[tuple[str, Encoder]]:
    for method in (0, 2, 3, 4, 6):
        yield f"WebP, method {method}", _webp(method)
    for speed in (8, 10):
        yield f"AVIF, speed {speed}", _avif(speed)


def _webp(method: int) -> Encoder:
    return lambda image, quality: libwebp(image, Effort(quality, method))


def _avif(speed: int) -> Encoder:
    def encode(image: Image.Image, quality: int) -> bytes:
        out = BytesIO()
        image.save(out, "AVIF", quality=quality, speed=speed, max_threads=1)
        return out.getvalue()

    return encode


def _cost(image: Image.Image, encode: Encoder) -> _Cost:
    """Compare in turns with the default, whose SSIM the quality is searched for."""
    default = libwebp(image, _DEFAULT)
    quality = _quality(image, encode, _likeness(image, default))
    data = encode(image, quality)
    turns = [
        measured(lambda: encode(image, quality)).ms / measured(lambda: libwebp(image, _DEFAULT)).ms
        for _ in range(_ROUNDS)
    ]
    return _Cost(quality, median(turns), len(data) / len(default), _likeness(image, data))


def _quality(image: Image.Image, encode: Encoder, wanted: float) -> int:
    """Return the lowest quality whose picture is at least as like the original as wanted."""
    low, high = 30, 94
    for _ in range(_STEPS):
        middle = (low + high) // 2
        low, high = (middle, high) if _likeness(image, encode(image, middle)) < wanted else (low, middle)
    return high


def _likeness(image: Image.Image, data: bytes) -> float:
    return ssim(image, _opened(data))


def _opened(data: bytes) -> Image.Image:
    with Image.open(BytesIO(data)) as file:
        return file.convert("RGB")
