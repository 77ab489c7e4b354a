"""From a storyboard's stills and their timestamps to clips, exact to the output frame; pure arithmetic."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, Literal

from shared.errors import AppError

Motion = Literal["auto", "zoom_in", "zoom_out", "pan_left", "pan_right", "pan_up", "pan_down", "still"]
Transition = Literal["cut", "crossfade", "fade"]

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER: Final = r"\d{1,7}(?:[.,]\d{1,9})?"
_UNIT: Final = r"(?:ms|s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?)"
_PART: Final = re.compile(rf"({_NUMBER})\s*({_UNIT})?\s*", re.ASCII)
_COUNTED: Final = re.compile(rf"{_NUMBER}|(?:{_NUMBER}\s*{_UNIT}\s*)+", re.ASCII)
_CLOCK: Final = re.compile(rf"(?:(\d{{1,4}}):)?(\d{{1,4}}):({_NUMBER})", re.ASCII)
_RANGE: Final = re.compile(r"\s*(?:-->|->|\.\.+|[-–—~→]|\bto\b)\s*")

# A camera that goes on and comes back, never the same way twice in a row; and what shows most of a still that is much
# taller or wider than the video.
_TOUR: Final[tuple[Motion, ...]] = ("zoom_in", "pan_right", "zoom_out", "pan_left", "zoom_in", "pan_up", "zoom_out")
_DOWN: Final[tuple[Motion, ...]] = ("pan_down", "pan_up")
_ACROSS: Final[tuple[Motion, ...]] = ("pan_right", "pan_left")
_MUCH: Final = 1.25


@dataclass(frozen=True, slots=True)
class Still:
    """A stored frame: its number, when it begins, as its client wrote that, and its width over its height if known."""

    frame_number: int
    timestamp: str
    shape: float | None = None


@dataclass(frozen=True, slots=True)
class Predecessor:
    """What a clip must know of the clip before it, whose picture it fades out of."""

    frame_number: int
    motion: Motion
    length: int
    shown: int


@dataclass(frozen=True, slots=True)
class Clip:
    """The stretch of video made from one still; all lengths in output frames.

    `number` counts from 1. `length` includes the leading transition, of `transition_length`. `shown` is for how long
    the still is to be seen: the clip and the transition into the next one, so that its motion goes on until it is gone.
    `motion` is never `auto`. `previous` is None where nothing is faded out of: without a transition, and in the first
    clip, which a `fade` brings in from black. `fade_out` is what the last one then takes to go to black at its end.
    """

    number: int
    frame_number: int
    start: int
    length: int
    motion: Motion
    shown: int
    transition: Transition
    transition_length: int
    previous: Predecessor | None
    fade_out: int = 0


def parse_timestamp(text: str) -> float | None:
    """Return the second that a timestamp, or the first of a range, names; None for what is none.

    Known are `5`, `5s`, `2.5 sec`, `1m30s`, `0:05`, `00:00:05.0`, `00:00:05,000`, and ranges of these such as `0-5s`.
    """
    ends = _RANGE.split(text.strip().strip("[]()@").strip().lower())
    if len(ends) > 2 or not all(ends):
        return None
    start = ends[0]
    if len(ends) == 2:
        if _seconds(ends[1]) is None:
            return None
        unit = _PART.fullmatch(ends[1])
        if unit and unit[2] and re.fullmatch(_NUMBER, start):
            start += unit[2]
    return _seconds(start)


def plan(  # noqa: PLR0913
    stills: Sequence[Still],
    *,
    duration_seconds: float,
    fps: int,
    motion: Motion,
    transition: Transition,
    transition_seconds: float,
    shape: float | None = None,
) -> list[Clip]:
    """Return one clip for each still, in their order, which together last `round(duration_seconds * fps)` frames.

    A clip begins where its still's timestamp says, the first one at 0, provided that all can be read and rise within
    the duration; else all are as long as one another. A transition takes half of the shorter of its two clips at most.
    `auto` varies the motions, and suits them to stills that do not have the `shape` of the video, its width over its
    height, where they are cut to it. Raises `no_frames`, and `video_too_short` where there are more stills than output
    frames.
    """
    lengths = _lengths(stills, duration_seconds, fps)
    starts = [0, *accumulate(lengths)]
    wanted = 0 if transition == "cut" else max(0, round(transition_seconds * fps))
    ends = wanted // 2 if transition == "fade" else 0
    leads = [min(ends, lengths[0] // 2), *(min(wanted, min(pair) // 2) for pair in pairwise(lengths)), 0]
    motions = _suiting(stills, shape) if motion == "auto" else [motion] * len(stills)
    clips: list[Clip] = []
    previous = None
    for index, still in enumerate(stills):
        length, lead = lengths[index], leads[index]
        shown = length + leads[index + 1]
        clips.append(
            Clip(
                number=index + 1,
                frame_number=still.frame_number,
                start=starts[index],
                length=length,
                motion=motions[index],
                shown=shown,
                transition=transition if lead else "cut",
                transition_length=lead,
                previous=previous if lead else None,
                fade_out=min(ends, length // 2) if index + 1 == len(stills) else 0,
            )
        )
        previous = Predecessor(still.frame_number, motions[index], length, shown)
    return clips


def _lengths(stills: Sequence[Still], duration_seconds: float, fps: int) -> list[int]:
    """Return how many output frames each still gets, at least one."""
    if not stills:
        raise AppError("no_frames")
    count, total = len(stills), round(duration_seconds * fps)
    if total < count:
        needed = math.ceil(count / fps)
        raise AppError(
            "video_too_short",
            f"{count:,} frames need {needed} s at least at {fps} fps. Lengthen the video, raise `fps`, "
            "or save fewer frames.",
        )
    seconds = [parse_timestamp(still.timestamp) for still in stills]
    known = [second for second in seconds if second is not None]
    if len(known) < count or known[-1] >= duration_seconds or any(later <= sooner for sooner, later in pairwise(known)):
        starts = [total * index // count for index in range(count)]
    else:
        starts = [0]
        for index, second in enumerate(known[1:], start=1):
            starts.append(min(max(round(second * fps), starts[-1] + 1), total - count + index))
    return [end - start for start, end in pairwise([*starts, total])]


def _suiting(stills: Sequence[Still], shape: float | None) -> list[Motion]:
    motions: list[Motion] = []
    for index, still in enumerate(stills):
        excess = still.shape / shape if still.shape and shape else 1
        choices = _ACROSS if excess > _MUCH else _DOWN if excess < 1 / _MUCH else (_TOUR[index % len(_TOUR)], *_TOUR)
        motions.append(next(choice for choice in choices if motions[-1:] != [choice]))
    return motions


def _seconds(text: str) -> float | None:
    clock = _CLOCK.fullmatch(text)
    if clock:
        hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in clock.groups())
        return hours * 3600 + minutes * 60 + seconds if seconds < 60 else None
    if not _COUNTED.fullmatch(text):
        return None
    parts = (
        (number.replace(",", "."), unit if unit == "ms" else unit[:1] or "s") for number, unit in _PART.findall(text)
    )
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
