"""Sound of any length out of an audio file: its samples, repeated without a gap or a click."""

from array import array
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Final

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.error import FFmpegError

from shared.errors import AppError
from shared.video.loudness import RATE, SAMPLE_BYTES
from shared.video.untrusted import first_audio, open_untrusted

_RATES: Final = range(4_000, 400_000)  # what is beyond them would be stretched to billions of samples
_OVERLAP: Final = RATE // 10 * SAMPLE_BYTES  # in which the end goes over into the beginning
_KEPT: Final = 30 * RATE * SAMPLE_BYTES  # up to which a file is not decoded again for each turn


def repeated(path: Path, samples: int) -> Iterator[bytes]:
    """Yield so many samples, 16 bits, stereo, interleaved, 48 kHz. Raises `not_media` where the file has none."""
    wanted = samples * SAMPLE_BYTES
    for chunk in _endless(path, wanted):
        yield chunk[:wanted]
        wanted -= len(chunk)
        if wanted <= 0:
            return


def _endless(path: Path, wanted: int) -> Iterator[bytes]:
    """Yield the file again and again, but as it is where it suffices."""
    beginning = end = whole = b""
    length = 0
    for chunk in _samples(path):
        beginning += chunk[: _OVERLAP - len(beginning)]
        length += len(chunk)
        if length <= _KEPT:
            whole += chunk
        end += chunk
        yield end[:-_OVERLAP]
        end = end[-_OVERLAP:]
    if not length:
        raise AppError("not_media", "The audio file has no sound that can be decoded. Export it again.")
    if length >= wanted:
        yield end
        return
    overlap = min(_OVERLAP, length // 4 // SAMPLE_BYTES * SAMPLE_BYTES)
    kept_end = len(end) - overlap
    yield end[:kept_end]
    seam = _mixed(end[kept_end:], beginning[:overlap])
    if length <= _KEPT:
        turn = seam + whole[overlap : length - overlap]
        yield from repeat(turn * (1 + _OVERLAP // len(turn)))
    while True:
        yield seam
        yield from _middle(path, overlap)


def _middle(path: Path, overlap: int) -> Iterator[bytes]:
    """Yield the file without so many bytes at its beginning and its end."""
    skipped, held = overlap, b""
    for chunk in _samples(path):
        held += chunk[skipped:]
        skipped = max(0, skipped - len(chunk))
        yield held[:-overlap]
        held = held[-overlap:]


def _mixed(ending: bytes, beginning: bytes) -> bytes:
    """Return the one going over into the other."""
    old, new = array("h", ending), array("h", beginning)
    count = len(old)
    pairs = enumerate(zip(old, new, strict=True))
    return array("h", ((a * (count - index) + b * index) // count for index, (a, b) in pairs)).tobytes()


def _samples(path: Path) -> Iterator[bytes]:
    with open_untrusted(path) as container:
        shape, resampler = None, AudioResampler()
        for frame in _decoded(container):
            if shape != (frame.format.name, frame.layout.name, frame.sample_rate):
                yield from _resampled(resampler, None)
                resampler = AudioResampler("s16", "stereo", RATE)
                shape = (frame.format.name, frame.layout.name, frame.sample_rate)
            frame.pts = None  # samples follow one another, whatever the file's clock says
            if frame.sample_rate in _RATES:
                yield from _resampled(resampler, frame)
        yield from _resampled(resampler, None)


def _decoded(container: InputContainer) -> Iterator[AudioFrame]:
    """Yield the frames that can be decoded, and pass over what is damaged."""
    packets = container.demux(first_audio(container))
    while True:
        try:
            frames = next(packets).decode()
        except StopIteration:
            return
        except FFmpegError:
            continue
        yield from frames


def _resampled(resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[bytes]:
    try:
        frames = resampler.resample(frame)
    except (FFmpegError, ValueError) as error:
        raise AppError("not_media", "The audio file's channels are of no known kind. Export it as stereo.") from error
    for out in frames:
        if out is not None:
            yield bytes(out.planes[0])[: out.samples * SAMPLE_BYTES]
