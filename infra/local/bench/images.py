"""What storing an image costs, in CPU and bytes, beside sharp, libvips, plain Pillow and libwebp alone."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from statistics import median

from PIL import Image

from infra.local.bench import peers, settings
from infra.local.bench.figures import Figure, compared, table
from infra.local.bench.peers import OURS, Outcome, Sharp, measured
from infra.local.bench.pictures import files
from infra.local.bench.quality import ssim
from shared.images import MAX_SIDE, THUMBNAIL_SIDE

_ROUNDS = 2
_SAME = f"quality {OURS.quality}, method {OURS.method}"

Results = dict[str, dict[str, Outcome]]


def measure() -> list[Figure]:
    """Return CPU time and bytes of an upload against each peer's at the same settings, all images and by type."""
    uploads = list(files())
    with Sharp() as sharp:
        _turns(_contenders(uploads[0][1], sharp), rounds=1)  # warms up
        results = {name: _turns(_contenders(data, sharp)) for name, data in uploads}
    usual = f"sharp, usual, {_SAME}"
    figures = [
        replace(_cpu(results, "usual", usual, 0.65), cause=_encoding(results, "usual")),
        replace(
            _cpu(results, "one decode", f"sharp, one decode, {_SAME}", 0.85), cause=_encoding(results, "one decode")
        ),
        _cpu(results, "pyvips", f"pyvips, {_SAME}"),
        _cpu(results, "naive", f"Pillow, naive, {_SAME}"),
        replace(_cpu(results, "libwebp", f"libwebp alone, {_SAME}", 1.2), cause="Decoding and scaling take the rest."),
    ]
    for kind in ("JPEG", "WebP", "PNG", "3840 x 2160 PNG"):
        some = {name: result for name, result in results.items() if name.endswith(kind)}
        figures.append(_cpu(some, "one decode", f"sharp, one decode, {_SAME}", 1.0, kind))
    sizes = [(len(result["ours"].image) / 1024, len(result["usual"].image) / 1024) for result in results.values()]
    return [*figures, compared("upload bytes", "kB", usual, sizes), _likeness(results, usual)]


def _contenders(data: bytes, sharp: Sharp) -> dict[str, Callable[[], Outcome]]:
    text = base64.b64encode(data).decode()
    large, small = _scaled(data, MAX_SIDE), _scaled(data, THUMBNAIL_SIDE)
    return {
        "ours": lambda: measured(lambda: peers.ours(text)),
        "usual": lambda: sharp("usual", text, OURS),
        "one decode": lambda: sharp("oneDecode", text, OURS),
        "pyvips": lambda: measured(lambda: peers.vips(text, OURS)),
        "naive": lambda: measured(lambda: peers.naive_pillow(text, OURS)),
        "libwebp": lambda: measured(lambda: peers.libwebp(large, OURS) + peers.libwebp(small, OURS)),
        "original": lambda: Outcome(0, data),
    }


def _turns(contenders: Mapping[str, Callable[[], Outcome]], rounds: int = _ROUNDS) -> dict[str, Outcome]:
    """Return each contender's median time and its image."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            outcomes[name].append(run())
    return {name: Outcome(median(o.ms for o in some), some[-1].image) for name, some in outcomes.items()}


def _cpu(results: Results, peer: str, title: str, limit: float | None = None, kind: str = "all images") -> Figure:
    pairs = [(result["ours"].ms, result[peer].ms) for result in results.values()]
    return compared(f"upload CPU, {kind}", "ms", title, pairs, limit)


def _encoding(results: Results, peer: str) -> str:
    """Return how much of a peer's time even we must spend."""
    share = median(result["libwebp"].ms / result[peer].ms for result in results.values())
    return f"libwebp, which both encode with, is {share:.2f} × of it alone."


def _likeness(results: Results, peer: str) -> Figure:
    """Return what is lost against the original scaled by Lanczos, as 1 - SSIM."""
    pairs = []
    for result in results.values():
        original = _scaled(result["original"].image, MAX_SIDE)
        ours, theirs = (1 - ssim(original, _opened(result[who].image)) for who in ("ours", "usual"))
        pairs.append((ours, theirs))
    return compared("upload loss, 1 - SSIM", "", peer, pairs)


def _scaled(data: bytes, side: int) -> Image.Image:
    image = _opened(data)
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=None)
    return image


def _opened(data: bytes) -> Image.Image:
    with Image.open(BytesIO(data)) as file:
        return file.convert("RGB")


if __name__ == "__main__":
    print(settings.pareto(), table(measure()), sep="\n\n")
