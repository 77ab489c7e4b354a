"""Clips that were made elsewhere: judged, and made to fit among our own."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from shared.video.look import Look


@dataclass(frozen=True, slots=True)
class Probed:
    """What a video file is, as its head tells it: upright size in pixels, rate in frames per second."""

    codec: str
    width: int
    height: int
    fps: Fraction
    frames: int
    seconds: float
    has_audio: bool


def probe(path: Path) -> Probed:
    """Return what the file holds. Raises `not_media` for what is no video, `clip_too_large` beyond our bounds."""
    raise NotImplementedError


def conform(path: Path, out: Path, look: Look, length: int) -> bool:
    """Write to `out` the clip as one of ours, `length` frames, without sound; tell whether it was encoded anew.

    Longer ones are cut, shorter ones hold their last frame. Raises what `probe` does.
    """
    raise NotImplementedError


def last_frame(path: Path) -> bytes:
    """Return the last frame as a PNG, so that a crossfade can begin from it. Raises what `probe` does."""
    raise NotImplementedError
