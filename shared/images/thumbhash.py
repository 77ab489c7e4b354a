"""ThumbHash: a blurred placeholder of an image in about 25 bytes (format: https://evanw.github.io/thumbhash/)."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import cos, pi
from operator import mul
from typing import NamedTuple

MAX_SIDE = 100


class _Channel(NamedTuple):
    """One channel's cosine terms: the mean, the others scaled to 0..1, and that scale."""

    dc: float
    ac: list[float]
    scale: float


def encode(width: int, height: int, rgba: bytes) -> bytes:
    """Return the ThumbHash of unpremultiplied 8-bit RGBA pixels, 100 x 100 at most; 32 x 32 do."""
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE) or len(rgba) != 4 * width * height:
        raise ValueError("expected RGBA pixels of an image of 1 x 1 to 100 x 100")
    alpha = [value / 255 for value in rgba[3::4]]
    opaque = min(alpha) == 1
    red, green, blue = (_over_mean(rgba[band::4], alpha, opaque) for band in range(3))
    most, longest = (7 if opaque else 5), max(width, height)
    across, down = (max(1, _round(most * side / longest)) for side in (width, height))

    luminance = [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)]
    yellow_blue = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    red_green = [r - g for r, g in zip(red, green, strict=True)]
    light = _transform(luminance, width, height, max(3, across), max(3, down))
    warm = _transform(yellow_blue, width, height, 3, 3)
    rosy = _transform(red_green, width, height, 3, 3)
    channels = [light, warm, rosy]
    if not opaque:
        channels.append(_transform(alpha, width, height, 5, 5))

    landscape = width > height
    head = _round(63 * light.dc)
    head |= _round(31.5 + 31.5 * warm.dc) << 6
    head |= _round(31.5 + 31.5 * rosy.dc) << 12
    head |= _round(31 * light.scale) << 18
    head |= (not opaque) << 23
    head |= (down if landscape else across) << 24
    head |= _round(63 * warm.scale) << 27
    head |= _round(63 * rosy.scale) << 33
    head |= landscape << 39
    veil = bytes(_round(15 * c.dc) | _round(15 * c.scale) << 4 for c in channels[3:])
    return head.to_bytes(5, "little") + veil + bytes(_nibble_pairs(channels))


def _over_mean(band: bytes, alpha: Sequence[float], opaque: bool) -> list[float]:
    """Return a colour band as 0..1, composited over its own mean where it is not opaque."""
    values = [value / 255 for value in band]
    if opaque:
        return values
    weight = sum(alpha)
    mean = sum(map(mul, values, alpha)) / weight if weight else 0.0
    return [mean * (1 - a) + value * a for value, a in zip(values, alpha, strict=True)]


def _transform(channel: Sequence[float], width: int, height: int, across: int, down: int) -> _Channel:
    """Return the low frequencies of the channel's cosine transform: along the rows, then down the columns."""
    rows = [channel[start : start + width] for start in range(0, width * height, width)]
    waves = [[sum(map(mul, row, wave)) for row in rows] for wave in _waves(width, across)]
    terms = [
        sum(map(mul, waves[x], wave)) / (width * height)
        for y, wave in enumerate(_waves(height, down))
        for x in range(across)
        if x * down < across * (down - y)
    ]
    dc, ac = terms[0], terms[1:]
    scale = max(map(abs, ac))
    return _Channel(dc, [0.5 + 0.5 * term / scale for term in ac] if scale else ac, scale)


@lru_cache(maxsize=256)
def _waves(length: int, count: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(cos(pi / length * n * (i + 0.5)) for i in range(length)) for n in range(count))


def _nibble_pairs(channels: Sequence[_Channel]) -> Iterator[int]:
    nibbles = [_round(15 * term) for channel in channels for term in channel.ac]
    nibbles += [0] * (len(nibbles) % 2)
    return (low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def _round(value: float) -> int:
    """Round half up, as the format does; Python's `round` goes to even."""
    return int(value + 0.5)
