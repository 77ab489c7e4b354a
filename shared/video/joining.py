"""Joins clips to one MP4 by copying their packets: nothing is encoded twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Joined:
    """The MP4 that was made; sizes in pixels and bytes."""

    frames: int
    duration_seconds: float
    width: int
    height: int
    bytes: int


def join(clips: Sequence[Path], path: Path, *, fps: int, soundtrack: Path | None = None) -> Joined:
    """Write the clips one after the other to `path`, with `fit_soundtrack`'s result as their sound.

    Raises `clip_mismatch`, with the clip's number (from 1) as `clipNumber`, for a clip that cannot follow the first.
    """
    raise NotImplementedError
