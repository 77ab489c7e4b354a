"""The outer form of a video: its size, rate, and how a still of another shape fills it."""

from dataclasses import dataclass
from typing import Final, Literal, Self

Aspect = Literal["16:9", "9:16", "1:1", "4:5"]
Resolution = Literal[480, 720, 1080]
Fit = Literal["cover", "contain"]

_SHAPES: Final = {"16:9": (16, 9), "9:16": (9, 16), "1:1": (1, 1), "4:5": (4, 5)}


@dataclass(frozen=True, slots=True)
class Look:
    """Size in pixels, both sides even; whole frames per second; and the fit."""

    width: int
    height: int
    fps: int
    fit: Fit = "cover"

    @classmethod
    def of(cls, aspect: Aspect, resolution: Resolution, fps: int, fit: Fit = "cover") -> Self:
        """Return the look whose shorter side is `resolution`: 720 makes 1280 x 720 of 16:9, 720 x 900 of 4:5."""
        across, down = _SHAPES[aspect]
        return cls(_side(resolution, across, down), _side(resolution, down, across), fps, fit)


def _side(resolution: int, part: int, other: int) -> int:
    """Return an even number of pixels for a side of `part`, where the shorter of both has `resolution`."""
    return 2 * round(resolution * part / min(part, other) / 2)
