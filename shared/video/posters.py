"""Pictures of a finished video: a still poster, and a short moving preview."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from shared.errors import AppError
from shared.video.stills import picture_of
from shared.video.untrusted import first_video, open_untrusted

POSTER_TYPE: Final = "image/jpeg"  # what every link preview shows
PREVIEW_TYPE: Final = "image/webp"

_SHOTS: Final = 6
_LATER: Final = 0.03  # what each shot is worth less than the one before it
_JUDGED_WIDTH: Final = 160
_RATE: Final = 12
_FRAMES: Final = 3 * _RATE
_DURATION: Final = round(1000 / _RATE)  # milliseconds of a frame
_SIDE: Final = 360
_EFFORTS: Final = ((65, 1), (45, 1), (25, 1), (25, 2))  # quality, and how many times smaller: the first that fits
_MOST_BYTES: Final = 600_000


class _Shot(NamedTuple):
    start: float
    end: float

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


def poster(path: Path) -> bytes:
    """Return a still of a good moment, a JPEG of the video's own size.

    It is the middle of that of at most six shots which has most to see, the earlier one of equals.
    """
    with open_untrusted(path) as file:
        stream = first_video(file)
        best, most = None, -1.0
        for number, shot in enumerate(_shots(stream)):
            frame = next(_frames(file, stream, shot.middle), None)
            if frame and (worth := _judged(frame) * (1 - _LATER * number)) > most:
                best, most = frame, worth
        if best is None:
            raise AppError("clip_damaged")
        jpeg = BytesIO()
        picture_of(best).save(jpeg, "JPEG", quality=85, progressive=True, optimize=True)
    return jpeg.getvalue()


def preview(path: Path) -> bytes:
    """Return three seconds as an animated WebP that loops: a piece from the middle of each of at most six shots.

    A shorter video is shown whole. The longer side has 360 pixels; 600 kB at most.
    """
    with open_untrusted(path) as file:
        stream = first_video(file)
        pictures = [
            picture for start, count in _pieces(_shots(stream)) for picture in _piece(file, stream, start, count)
        ]
    if not pictures:
        raise AppError("clip_damaged")
    return _animated(pictures)


def _shots(stream: VideoStream) -> Sequence[_Shot]:
    """Return at most six stretches of about equal distance that begin with key frames, as our clips do."""
    clock = float(stream.time_base or 0)
    keys = [entry.timestamp for entry in stream.index_entries if entry.is_keyframe] or [0]
    starts = [(key - keys[0]) * clock for key in keys]  # times of decoding, which begin before the picture
    end = max(starts[-1], (stream.duration or 0) * clock)
    shots = [_Shot(*pair) for pair in pairwise([*starts, end])]
    count = min(_SHOTS, len(shots))
    return [shots[(2 * number + 1) * len(shots) // (2 * count)] for number in range(count)]


def _pieces(shots: Sequence[_Shot]) -> Sequence[tuple[float, int]]:
    """Return where each shot's piece begins, and its number of frames: as many of all, as far as they last."""
    pieces, left = [], _FRAMES
    for number, shot in enumerate(sorted(shots, key=lambda shot: shot.end - shot.start)):
        count = min(max(1, math.ceil((shot.end - shot.start) * _RATE)), left // (len(shots) - number))
        pieces.append((max(shot.start, shot.middle - count / _RATE / 2), count))
        left -= count
    return sorted(pieces)


def _piece(file: InputContainer, stream: VideoStream, start: float, count: int) -> Iterator[Image.Image]:
    scale = min(1, _SIDE / max(stream.width, stream.height))
    size = max(1, round(stream.width * scale)), max(1, round(stream.height * scale))
    shown = 0
    for frame in _frames(file, stream, start):
        if frame.time >= start + shown / _RATE:
            yield picture_of(frame, *size)
            shown += 1
        if shown == count:
            return


def _frames(file: InputContainer, stream: VideoStream, start: float) -> Iterator[VideoFrame]:
    """Yield the frames from this second on, but for those that are damaged."""
    with suppress(FFmpegError):  # without an index it is read from the beginning
        file.seek(round(start / float(stream.time_base or 1)), stream=stream)
    packets = file.demux(stream)
    while True:
        try:
            frames = next(packets).decode()
        except StopIteration:
            return
        except FFmpegError:
            continue
        yield from (frame for frame in frames if frame.time >= start)


def _judged(frame: VideoFrame) -> float:
    """Return how much there is to see: the entropy of its lightness; next to nothing in the middle of a fade."""
    height = max(1, round(_JUDGED_WIDTH * frame.height / frame.width))
    return picture_of(frame, _JUDGED_WIDTH, height).convert("L").entropy()


def _animated(pictures: Sequence[Image.Image]) -> bytes:
    for quality, smaller in _EFFORTS:
        first, *others = (picture.reduce(smaller) for picture in pictures)
        out = BytesIO()
        first.save(
            out, "WEBP", save_all=True, append_images=others, duration=_DURATION, loop=0, quality=quality, method=4
        )
        if out.tell() <= _MOST_BYTES:
            break
    return out.getvalue()
