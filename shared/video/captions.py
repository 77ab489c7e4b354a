"""Captions: burned into the picture, or beside it as WebVTT."""

from collections.abc import Iterable
from typing import NamedTuple

from PIL import Image


class Cue(NamedTuple):
    """A caption and when it shows, in seconds from the start of the video."""

    start: float
    end: float
    text: str


def overlay(text: str, width: int, height: int) -> Image.Image:
    """Return a transparent RGBA frame of this size with the caption in it; fully transparent for a blank text."""
    raise NotImplementedError


def can_burn(text: str) -> bool:
    """Tell whether the bundled font has every character of the text; if not, it can only go into a sidecar."""
    raise NotImplementedError


def webvtt(cues: Iterable[Cue]) -> str:
    """Return a WebVTT file with one cue for each text that is not blank."""
    raise NotImplementedError
