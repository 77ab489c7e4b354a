"""Opens media files that others made: known containers only, no file beside the one given, bounded in size."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from shared.errors import AppError
from shared.video.mp4_claims import claims_more

MAX_PIXELS: Final = 4096 * 2304
MAX_SAMPLES: Final = 1_000_000  # an hour at 240 frames a second, or five of AAC

# Playlists, image sequences and the like would let a file name others, on this machine or on any.
_OPENING: Final = {
    "format_whitelist": "aac,flac,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,ogg,wav,w64",
    "protocol_whitelist": "file",
    "max_streams": "32",
    "probesize": "5000000",
    "analyzeduration": "5000000",
}
# In search of what a file is, frames are decoded: a larger bound tells those that are too large from the damaged ones.
_SEARCHING: Final = {"max_pixels": str(7680 * 4320)}
_DECODING: Final = {"max_pixels": str(MAX_PIXELS), "max_samples": str(1 << 20)}

_Stream = TypeVar("_Stream", AudioStream, VideoStream)


@contextmanager
def open_untrusted(path: Path) -> Iterator[InputContainer]:
    """Yield the opened file, its decoders bounded.

    Raises `not_media` for anything but video and audio, `media_too_large` for more samples than a sane file has.
    """
    if claims_more(path, MAX_SAMPLES):
        raise AppError("media_too_large")
    try:
        container = av.open(
            f"file:{path}", "r", options=_SEARCHING, container_options=_OPENING, metadata_errors="replace"
        )
    except (FFmpegError, ValueError) as error:
        raise AppError("not_media") from error
    with container:
        for stream in container.streams:
            if stream.codec_context is not None:
                stream.codec_context.options = _DECODING
        yield container


def first_audio(container: InputContainer) -> AudioStream:
    """Return the file's first audio stream. Raises `not_media` where there is none that can be decoded."""
    return _first(container.streams.audio)


def first_video(container: InputContainer) -> VideoStream:
    """Return the file's first video stream, which no cover picture is. Raises `not_media` where there is none."""
    return _first([one for one in container.streams.video if not one.disposition & Disposition.attached_pic])


def _first(streams: Sequence[_Stream]) -> _Stream:
    for stream in streams:
        if stream.codec_context is not None:
            return stream
    raise AppError("not_media")
