"""A soundtrack that fits its video: looped or cut to the video's length, faded out, of even loudness."""

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final

import av

from shared.video.loops import repeated
from shared.video.loudness import RATE, Chain, gain_of
from shared.video.untrusted import first_audio, open_untrusted

_BIT_RATE: Final = 192_000


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What an audio file holds; `seconds` is None where only decoding all of it would tell."""

    codec: str
    seconds: float | None
    channels: int
    sample_rate: int


@dataclass(frozen=True, slots=True)
class Soundtrack:
    """The AAC file that was made: its length in samples per channel at 48 kHz, its gain in dB and loudness in LUFS."""

    samples: int
    gain: float
    loudness: float


def probe_audio(path: Path) -> AudioFacts:
    """Return what the file's first audio stream is, from its head. Raises `not_media` where there is none."""
    with open_untrusted(path) as container:
        stream = first_audio(container)
        seconds = None
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        elif container.duration:
            seconds = container.duration / av.time_base
        return AudioFacts(stream.codec_context.codec.canonical_name, seconds, stream.channels, stream.sample_rate)


def fit_soundtrack(source: Path, path: Path, seconds: Fraction) -> Soundtrack:
    """Write the source to `path` (.m4a) as AAC, 48 kHz stereo, of exactly this length, near -16 LUFS.

    What is shorter is repeated. The last two seconds, a quarter at most, fade out. Silence stays silent. Raises
    `not_media` where nothing can be decoded.
    """
    samples = round(seconds * RATE)
    sound = partial(repeated, source, samples)
    gain = gain_of(sound, samples)
    chain = Chain(samples, gain)
    with av.open(str(path), "w", format="mp4", options={"movie_timescale": str(RATE)}) as container:
        stream = container.add_stream("aac", rate=RATE, layout="stereo")
        stream.bit_rate = _BIT_RATE
        for frame in chain.through(sound()):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Soundtrack(samples, gain, chain.loudness)
