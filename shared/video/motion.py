"""Where the camera is: crop boxes in fractions of the scene, which it moves over slowly, without a jerk at the ends."""

import math
from dataclasses import dataclass
from typing import Final

from shared.timeline import Motion

# Of the picture's width, in each second and in all: beyond, it is no longer the camera that seems to move.
_PACE: Final = 0.025
_FARTHEST: Final = 0.16
_SWELL: Final = 0.6  # how much slower than on average it begins and ends; at 1 it would stand still there


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A part of the scene: its centre and size, in fractions of the scene's width and height."""

    width: float
    height: float
    x: float = 0.5
    y: float = 0.5


@dataclass(frozen=True, slots=True)
class Camera:
    """A motion that lasts some seconds. `still` and motions of no length show the whole scene."""

    motion: Motion
    seconds: float

    @property
    def reach(self) -> float:
        """By which part of a frame's side the camera moves, or its picture grows."""
        return 0.0 if self.motion == "still" else min(_FARTHEST, _PACE * self.seconds)

    @property
    def stretch(self) -> tuple[float, float]:
        """The scene's width and height in those of a frame: a pan needs a scene that is longer than what is seen."""
        return (
            1 + self.reach * (self.motion in {"pan_left", "pan_right"}),
            1 + self.reach * (self.motion in {"pan_up", "pan_down"}),
        )

    @property
    def zooms(self) -> tuple[float, float]:
        """How much larger than in the widest box things appear, at least and at most."""
        return 1.0, 1 + self.reach * (self.motion in {"zoom_in", "zoom_out"})

    def box(self, progress: float) -> Box:
        """Return what is seen at a progress of 0 to 1."""
        way = progress - _SWELL * math.sin(math.tau * progress) / math.tau
        if self.motion in {"zoom_out", "pan_left", "pan_up"}:
            way = 1 - way
        across, down = self.stretch
        side = self.zooms[1] ** -way
        return Box(
            width=side / across,
            height=side / down,
            x=0.5 + (way - 0.5) * (1 - 1 / across),
            y=0.5 + (way - 0.5) * (1 - 1 / down),
        )

    @property
    def core(self) -> tuple[float, float]:
        """The width and height of the scene's middle that is in view all the time, in fractions of the scene's."""
        across, down = self.stretch
        return (2 / across - 1) / self.zooms[1], (2 / down - 1) / self.zooms[1]
