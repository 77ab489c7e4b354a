"""A soundtrack that fits its video: looped or cut to the video's length, faded out, of even loudness."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path


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
    raise NotImplementedError


def fit_soundtrack(source: Path, path: Path, seconds: Fraction) -> Soundtrack:
    """Write the source to `path` (.m4a) as AAC, 48 kHz stereo, of exactly this length, near -16 LUFS.

    Raises `not_media` where nothing can be decoded.
    """
    raise NotImplementedError
