"""Joins clips to one MP4 by copying their packets: nothing is encoded twice."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Final

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from shared.errors import AppError
from shared.video.untrusted import first_video, open_untrusted

# Frames of every rate and samples are whole ticks of the clock by which an MP4 tells how long its tracks are.
_OPTIONS: Final = {"movflags": "+faststart", "movie_timescale": "48000"}

Timed = tuple[float, "Packet[VideoStream] | Packet[AudioStream]"]


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

    Raises `clip_mismatch` for a clip that was encoded in another way than the first, `clip_damaged` for one that lacks
    frames; their member `clipNumber` counts from 1. `no_frames` where there is no clip. No file stays behind then.
    """
    if not clips:
        raise AppError("no_frames")
    try:
        with ExitStack() as stack:
            container = stack.enter_context(av.open(str(path), "w", format="mp4", options=_OPTIONS))
            film = _Film(clips, fps, container)
            tracks = [film.packets()]
            if soundtrack:
                source = stack.enter_context(av.open(str(soundtrack)))
                tracks.append(_copied(source, container.add_stream_from_template(source.streams.audio[0])))
            for _, packet in merge(*tracks, key=itemgetter(0)):
                _write(container, packet, film)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Joined(film.frames, film.frames / fps, film.width, film.height, path.stat().st_size)


def _write(container: OutputContainer, packet: "Packet[VideoStream] | Packet[AudioStream]", film: "_Film") -> None:
    try:
        container.mux_one(packet)
    except FFmpegError as error:
        if isinstance(error, OSError):
            raise  # the disk's fault
        raise AppError("clip_damaged", extra={"clipNumber": film.number}) from error


class _Film:
    """The clips' packets, timed anew: one frame after the other at the rate, whichever clip they are of."""

    def __init__(self, clips: Sequence[Path], fps: int, container: OutputContainer) -> None:
        self._clips, self.frames, self.number = clips, 0, 1
        with _opened(1, clips[0]) as file:
            first = first_video(file)
            if first.codec_context.name != "h264" or first.average_rate != fps:
                raise AppError("clip_mismatch", extra={"clipNumber": 1})
            self.width, self.height = first.width, first.height
            self._encoding, self._depth = _encoding(first), first.codec_context.reorder_depth
            self._stream = container.add_stream_from_template(first)
            self._stream.time_base = self._clock = _clock(first)
            step = 1 / (fps * self._clock)
            if step.denominator != 1:
                raise AppError("clip_mismatch", extra={"clipNumber": 1})
            self._step = step.numerator

    def packets(self) -> Iterator[Timed]:
        """Yield each with the second at which it is to be decoded."""
        for number, clip in enumerate(self._clips, start=1):
            self.number = number
            with _opened(number, clip) as file:
                if _encoding(first_video(file)) != self._encoding:
                    raise AppError("clip_mismatch", extra={"clipNumber": self.number})
                yield from self._timed(file)

    def _timed(self, file: InputContainer) -> Iterator[Timed]:
        source = first_video(file)
        places: list[int] = []
        tick, start = float(self._clock), self.frames
        for packet in file.demux(source):
            if packet.pts is None:
                continue  # the last one, which is empty
            place, off = divmod(packet.pts, self._step)
            early = place < len(places) - self._depth
            if off or early or not (places or packet.is_keyframe):
                raise AppError("clip_damaged", extra={"clipNumber": self.number})
            places.append(place)
            packet.pts = (start + place) * self._step
            packet.dts = (self.frames - self._depth) * self._step
            packet.duration, packet.time_base, packet.stream = self._step, self._clock, self._stream
            self.frames += 1
            yield packet.dts * tick, packet
        if sorted(places) != list(range(source.frames)):
            raise AppError("clip_damaged", extra={"clipNumber": self.number})


@contextmanager
def _opened(number: int, clip: Path) -> Iterator[InputContainer]:
    try:
        with open_untrusted(clip) as file:
            yield file
    except (AppError, FFmpegError) as error:
        if isinstance(error, AppError) and error.code != "not_media":
            raise
        raise AppError("clip_damaged", extra={"clipNumber": number}) from error


def _encoding(stream: VideoStream) -> tuple[object, ...]:
    """Return all that must be equal for packets of two streams to go through one decoder, at one clock."""
    context = stream.codec_context
    return context.name, context.extradata, stream.width, stream.height, _clock(stream)


def _clock(stream: Stream) -> Fraction:
    assert stream.time_base is not None  # demuxers set it
    return stream.time_base


def _copied(file: InputContainer, sink: AudioStream) -> Iterator[Timed]:
    tick = float(_clock(file.streams.audio[0]))
    for packet in file.demux(file.streams.audio[0]):
        if packet.dts is not None:
            packet.stream = sink
            yield packet.dts * tick, packet
