"""From a storyboard's stills and their timestamps to clips, exact to the output frame; pure arithmetic."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from shared.errors import AppError

Motion = Literal["auto", "zoom_in", "zoom_out", "pan_left", "pan_right", "pan_up", "pan_down", "still"]
Transition = Literal["cut", "crossfade", "fade"]

_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER: Final = r"\d{1,7}(?:[.,]\d{1,9})?"
_UNIT: Final = r"(ms|s|m|h)(?:ec(?:ond)?s?|in(?:ute)?s?|(?:ou)?rs?)?"
_PART: Final = re.compile(rf"({_NUMBER})\s*(?:{_UNIT})?", re.ASCII)
_COUNTED: Final = re.compile(rf"{_NUMBER}|(?:{_NUMBER}\s*{_UNIT}\s*)+".replace("(ms|s|m|h)", "(?:ms|s|m|h)"), re.ASCII)
_CLOCK: Final = re.compile(rf"(?:(\d{{1,4}}):)?(\d{{1,4}}):({_NUMBER})", re.ASCII)
_RANGE: Final = re.compile(r"\s*(?:-->|->|\.\.+|[-–—~→]|\bto\b)\s*")

# A camera that goes on and comes back, never the same way twice in a row.
_TOUR: Final[tuple[Motion, ...]] = ("zoom_in", "pan_right", "zoom_out", "pan_left", "zoom_in", "pan_up", "zoom_out")


@dataclass(frozen=True, slots=True)
class Still:
    """A stored frame: its number, and when it begins, as its client wrote that."""

    frame_number: int
    timestamp: str


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
) -> list[Clip]:
    """Return one clip for each still, in their order, which together last `round(duration_seconds * fps)` frames.

    A clip begins where its still's timestamp says, the first one at 0, provided that all can be read and rise within
    the duration; else all are as long as one another. A transition takes half of the shorter of its two clips at most.
    Raises `no_frames`, and `video_too_short` where there are more stills than output frames.
    """
    if not stills:
        raise AppError("no_frames")
    total = round(duration_seconds * fps)
    if total < len(stills):
        needed = math.ceil(len(stills) / fps)
        raise AppError(
            "video_too_short",
            f"{len(stills):,} frames need {needed} s at least at {fps} fps. Lengthen the video, raise `fps`, "
            "or save fewer frames.",
        )
    starts = _starts(stills, duration_seconds, fps, total)
    lengths = [end - start for start, end in pairwise([*starts, total])]
    wanted = 0 if transition == "cut" else max(0, round(transition_seconds * fps))
    ends = wanted // 2 if transition == "fade" else 0
    leads = [min(ends, lengths[0] // 2), *(min(wanted, shorter // 2) for shorter in map(min, pairwise(lengths)))]
    motions = _motions(len(stills), motion)
    clips: list[Clip] = []
    previous = None
    for index, still in enumerate(stills):
        shown = lengths[index] + (leads[index + 1] if index + 1 < len(stills) else 0)
        lead = leads[index]
        clips.append(
            Clip(
                number=index + 1,
                frame_number=still.frame_number,
                start=starts[index],
                length=lengths[index],
                motion=motions[index],
                shown=shown,
                transition=transition if lead else "cut",
                transition_length=lead,
                previous=previous if lead else None,
                fade_out=min(ends, lengths[index] // 2) if index + 1 == len(stills) else 0,
            )
        )
        previous = Predecessor(still.frame_number, motions[index], lengths[index], shown)
    return clips


def _starts(stills: Sequence[Still], duration_seconds: float, fps: int, total: int) -> list[int]:
    """Return the first output frame of each still, at least one apart."""
    count = len(stills)
    seconds = [parse_timestamp(still.timestamp) for still in stills]
    known = [second for second in seconds if second is not None]
    if len(known) < count or known[-1] >= duration_seconds or any(b <= a for a, b in pairwise(known)):
        return [total * index // count for index in range(count)]
    starts = [0]
    for index, second in enumerate(known[1:], start=1):
        starts.append(min(max(round(second * fps), starts[-1] + 1), total - count + index))
    return starts


def _motions(count: int, motion: Motion) -> list[Motion]:
    return [motion if motion != "auto" else _TOUR[index % len(_TOUR)] for index in range(count)]


def _seconds(text: str) -> float | None:
    clock = _CLOCK.fullmatch(text)
    if clock:
        hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in clock.groups())
        return hours * 3600 + minutes * 60 + seconds if seconds < 60 else None
    if not _COUNTED.fullmatch(text):
        return None
    return sum(float(number.replace(",", ".")) * _UNITS[unit or ""] for number, unit in _PART.findall(text))
