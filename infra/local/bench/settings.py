"""The table that the encoder's settings are chosen from: CPU and bytes of each at one and the same SSIM."""

from collections.abc import Callable, Iterator
from io import BytesIO
from statistics import mean, median
from typing import NamedTuple

from PIL import Image

from infra.local.bench.figures import columns
from infra.local.bench.peers import OURS, SHARPS, libwebp, measured
from infra.local.bench.pictures import files
from infra.local.bench.quality import ssim

_SUBJECTS = ("painting 1344 x 768 PNG", "photo 1344 x 768 PNG", "text 1920 x 1080 PNG")
_STEPS = 6

Encoder = Callable[[Image.Image, int], bytes]


class _Cost(NamedTuple):
    quality: int
    ms: float
    kilobytes: float
    ssim: float


def pareto() -> str:
    """Return the table in Markdown, relative to libwebp's own default, quality 80 with method 4."""
    images = [_opened(data) for name, data in files() if name in _SUBJECTS]
    default = _webp(SHARPS.method)
    bases = [_cost(image, default, SHARPS.quality) for image in images]
    rows: list[tuple[str, ...]] = [("encoder", "quality", "CPU", "bytes", "SSIM", "")]
    for name, encode in _encoders():
        costs = [_matched(image, encode, base.ssim) for image, base in zip(images, bases, strict=True)]
        pairs = list(zip(costs, bases, strict=True))
        rows.append(
            (
                name,
                f"{mean(cost.quality for cost in costs):.0f}",
                f"{mean(cost.ms / base.ms for cost, base in pairs):.2f} ×",
                f"{mean(cost.kilobytes / base.kilobytes for cost, base in pairs):.2f} ×",
                f"{mean(cost.ssim for cost in costs):.4f}",
                "used" if name == f"WebP, method {OURS.method}" else "",
            )
        )
    return columns(rows)


def _encoders() -> Iterator[tuple[str, Encoder]]:
    for method in range(7):
        yield f"WebP, method {method}", _webp(method)
    for speed in (8, 9, 10):
        yield f"AVIF, speed {speed}", _avif(speed)


def _webp(method: int) -> Encoder:
    return lambda image, quality: libwebp(image, type(OURS)(quality, method))


def _avif(speed: int) -> Encoder:
    def encode(image: Image.Image, quality: int) -> bytes:
        out = BytesIO()
        image.save(out, "AVIF", quality=quality, speed=speed, max_threads=1)
        return out.getvalue()

    return encode


def _matched(image: Image.Image, encode: Encoder, wanted: float) -> _Cost:
    """Return the cost at the lowest quality that is at least as like the original as wanted."""
    low, high = 30, 94
    for _ in range(_STEPS):
        middle = (low + high) // 2
        low, high = (middle, high) if _likeness(image, encode(image, middle)) < wanted else (low, middle)
    return _cost(image, encode, high)


def _cost(image: Image.Image, encode: Encoder, quality: int) -> _Cost:
    runs = [measured(lambda: encode(image, quality)) for _ in range(3)]
    data = runs[0].image
    return _Cost(quality, median(run.ms for run in runs), len(data) / 1024, _likeness(image, data))


def _likeness(image: Image.Image, data: bytes) -> float:
    return ssim(image, _opened(data))


def _opened(data: bytes) -> Image.Image:
    with Image.open(BytesIO(data)) as file:
        return file.convert("RGB")
