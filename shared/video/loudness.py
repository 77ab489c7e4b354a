"""Loudness of sound by EBU R128: the gain that brings it to the target, with a limiter for its peaks and a fade-out."""

import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Final

from av.audio.frame import AudioFrame
from av.error import BlockingIOError as MoreWanted
from av.filter import Graph

RATE: Final = 48_000
SAMPLE_BYTES: Final = 4  # of both channels, 16 bits each
TARGET: Final = -16.0  # LUFS

_SILENCE: Final = -70.0  # LUFS, the gate of EBU R128
_CEILING: Final = 0.8  # of full scale, about -2 dB: room for what lies between the samples, and for AAC
_MOST_GAIN: Final = 30.0  # dB; what is more silent than this makes up for is so on purpose, or noise
_CLOSE: Final = 0.3  # LU
_FADE: Final = 2 * RATE
_BLOCK: Final = RATE // 10

Sound = Callable[[], Iterable[bytes]]


class Chain:
    """Gain, limiter and fade-out for a sound of so many samples; knows loudness and peak of what has come out."""

    def __init__(self, samples: int, gain: float, *, limited: bool = True) -> None:
        fade = min(_FADE, samples // 4)
        limiter = f"limit={_CEILING}:level=false:latency=true"  # `level` would make it louder on its own
        self.loudness, self.peak = _SILENCE, 0.0
        self._graph = graph = Graph()
        graph.link_nodes(
            graph.add_abuffer(sample_rate=RATE, format="s16", layout="stereo", time_base=Fraction(1, RATE)),
            graph.add("volume", f"volume={gain}dB:precision=double"),
            *([graph.add("alimiter", limiter)] if limited else []),
            graph.add("afade", f"type=out:start_sample={samples - fade}:nb_samples={fade}:curve=hsin"),
            graph.add("ebur128", "metadata=1:framelog=quiet:peak=sample"),
            graph.add("abuffersink"),
        ).configure()

    def through(self, sound: Iterable[bytes]) -> Iterator[AudioFrame]:
        """Yield what becomes of interleaved 16-bit samples."""
        for frame in _frames(sound):
            self._graph.push(frame)
            yield from self._ready()
        self._graph.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[AudioFrame]:
        while True:
            try:
                frame = self._graph.pull()
            except (MoreWanted, EOFError):
                return
            assert isinstance(frame, AudioFrame)
            if "lavfi.r128.I" in frame.metadata:
                self.loudness = float(frame.metadata["lavfi.r128.I"])
                self.peak = max(self.peak, float(frame.metadata["lavfi.r128.sample_peak"]))
            yield frame


def gain_of(sound: Sound, samples: int) -> float:
    """Return the gain in dB that brings the sound to the target; 0 for silence."""
    loudness, peak = _measured(sound, Chain(samples, 0, limited=False))
    if loudness <= _SILENCE:
        return 0.0
    gain = min(TARGET - loudness, _MOST_GAIN)
    if peak * math.pow(10, gain / 20) <= _CEILING:
        return gain
    for _ in range(2):  # the limiter takes some of the loudness
        missing = TARGET - _measured(sound, Chain(samples, gain))[0]
        if missing <= _CLOSE:
            break
        gain = min(gain + missing, _MOST_GAIN)
    return gain


def _measured(sound: Sound, through: Chain) -> tuple[float, float]:
    for _ in through.through(sound()):
        pass
    return through.loudness, through.peak


def _frames(sound: Iterable[bytes]) -> Iterator[AudioFrame]:
    position = 0
    for chunk in sound:
        for start in range(0, len(chunk), _BLOCK * SAMPLE_BYTES):
            block = chunk[start : start + _BLOCK * SAMPLE_BYTES]
            frame = AudioFrame("s16", "stereo", len(block) // SAMPLE_BYTES)
            frame.planes[0].update(block)
            frame.sample_rate, frame.pts, frame.time_base = RATE, position, Fraction(1, RATE)
            position += frame.samples
            yield frame
