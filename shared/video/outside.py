"""Clips that were made elsewhere: judged, and made to fit among our own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from shared.errors import AppError
from shared.video.encoding import Encoder
from shared.video.fitting import Fitter, paced
from shared.video.joining import join
from shared.video.look import Look
from shared.video.stills import picture_of
from shared.video.untrusted import MAX_PIXELS, first_video, open_untrusted

_MOST_A_SECOND: Final = 240  # frames of a source that are decoded for a second of ours
_FORGIVEN: Final = 10  # packets that cannot be decoded


@dataclass(frozen=True, slots=True)
class Probed:
    """What a video file is: upright size in pixels, rate in frames per second; frames and seconds as its head says."""

    codec: str
    width: int
    height: int
    fps: Fraction
    frames: int
    seconds: float
    has_audio: bool


def probe(path: Path) -> Probed:
    """Return what the file holds, of which the first frame was decoded.

    Raises `not_media` for what is no video, `media_too_large` beyond our bounds, `clip_damaged` where nothing can be
    decoded.
    """
    with _opened(path) as (file, stream):
        first = next(_frames(file, stream, 1))
        seconds = _seconds(file, stream)
        fps = stream.average_rate or stream.guessed_rate or Fraction(0)
        frames = stream.frames or round(seconds * fps)
        size = (first.width, first.height)
        width, height = reversed(size) if abs(first.rotation) == 90 else size
        return Probed(
            stream.codec_context.codec.canonical_name, width, height, fps, frames, seconds, bool(file.streams.audio)
        )


def conform(path: Path, out: Path, look: Look, length: int, *, on_frame: Callable[[int], None] | None = None) -> bool:
    """Write to `out` the clip as one of ours, `length` frames, without sound; tell whether it was encoded anew.

    Longer ones are cut, shorter ones hold their last frame. `on_frame` hears how many frames are done. Raises what
    `probe` does.
    """
    if _is_ours(path, look, length) and _copied(path, out, look):
        return False
    with _opened(path) as (file, stream), Encoder(out, look) as encoder:
        fitter, held, count = _fitter(stream, look), None, 0
        for place, frame in _shown(file, stream, look, length):
            count = _hold(encoder, held, count, place)
            held = fitter.fitted(frame)
            if on_frame:
                on_frame(count)
        _hold(encoder, held, count, length)
    return True


def last_frame(path: Path, look: Look, length: int) -> bytes:
    """Return as a PNG the last frame of what `conform` makes of this clip, so that a crossfade can begin from it.

    Raises what `probe` does.
    """
    with _opened(path) as (file, stream):
        last = None
        for _, frame in _shown(file, stream, look, length):
            last = frame
        assert last is not None  # there is at least one
        png = BytesIO()
        picture_of(_fitter(stream, look).fitted(last)).save(png, "PNG", compress_level=1)
    return png.getvalue()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    with open_untrusted(path) as file:
        stream = first_video(file)
        if stream.width * stream.height > MAX_PIXELS:
            raise AppError("media_too_large")
        stream.thread_type = "AUTO"
        yield file, stream


def _fitter(stream: VideoStream, look: Look) -> Fitter:
    return Fitter(look, stream.codec_context.sample_aspect_ratio or Fraction(1))


def _shown(file: InputContainer, stream: VideoStream, look: Look, length: int) -> Iterator[tuple[int, VideoFrame]]:
    """Yield the frames that are seen in a clip of so many, each with the place at which it appears; 0 is the first."""
    most = _MOST_A_SECOND * (length // look.fps + 1)
    for place, frame in paced(_frames(file, stream, most), look.fps):
        if place >= length:
            return
        yield place, frame


def _frames(file: InputContainer, stream: VideoStream, most: int) -> Iterator[VideoFrame]:
    """Yield the frames, at least one. Raises `clip_damaged`, and `media_too_large` where they are more than `most`."""
    count = failed = 0
    try:
        for packet in file.demux(stream):
            try:
                frames = packet.decode()
            except FFmpegError:
                failed += 1
                if failed > _FORGIVEN:
                    raise
                continue
            for frame in frames:
                count += 1
                if count > most or frame.width * frame.height > MAX_PIXELS:
                    raise AppError("media_too_large")
                yield frame
            if packet.is_corrupt:  # the file ends within it
                raise AppError("clip_damaged")
    except FFmpegError as error:
        raise AppError("clip_damaged") from error
    if not count:
        raise AppError("clip_damaged")


def _seconds(file: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (file.duration or 0) / av.time_base


def _hold(encoder: Encoder, frame: VideoFrame | None, count: int, until: int) -> int:
    """Write the frame until there are so many, and return how many there are."""
    if frame is None:
        return count
    for _ in range(count, until):
        encoder.add(frame)
    return max(count, until)


def _is_ours(path: Path, look: Look, length: int) -> bool:
    with _opened(path) as (_, stream):
        return stream.frames == length and stream.codec_context.extradata == _our_parameters(look)


@lru_cache(maxsize=4)
def _our_parameters(look: Look) -> bytes | None:
    """Return SPS and PPS of all clips of this look."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "one.mp4"
        with Encoder(path, look) as encoder:
            encoder.add(VideoFrame(look.width, look.height, "yuv420p"))
        with open_untrusted(path) as file:
            return first_video(file).codec_context.extradata


def _copied(path: Path, out: Path, look: Look) -> bool:
    try:
        join([path], out, fps=look.fps)
    except AppError:
        return False  # it is not all that its head says
    return True
