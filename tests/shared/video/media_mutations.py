"""Video and audio files damaged at random."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import av

from shared.video.look import Look
from tests.shared.damage import damaged
from tests.shared.video.media import Source, audio_file, clip, music

_VIDEOS = (
    Source("a.mp4", width=64, height=48, frames=6, sound=True),
    Source("b.webm", "libvpx-vp9", width=64, height=48, frames=4),
    Source("c.mp4", "mpeg4", width=64, height=48, frames=4),
    Source("d.mov", "mjpeg", width=64, height=48, frames=3, pixels="yuvj420p"),
    Source("e.mov", "prores", width=64, height=48, frames=2, pixels="yuv422p10le"),
    Source("f.mkv", "ffv1", width=64, height=48, frames=3, pixels="bgr0"),
    Source("g.mp4", "libx265", width=64, height=64, frames=4),
    Source("h.mp4", "libsvtav1", width=64, height=64, frames=4),
    Source("i.mp4", width=64, height=48, frames=4, rotation=90),
)
_SOUNDS = (
    ("a.mp3", "libmp3lame"),
    ("b.m4a", "aac"),
    ("c.aac", "aac"),
    ("d.wav", "pcm_s16le"),
    ("e.ogg", "libopus"),
    ("f.flac", "flac"),
    ("g.webm", "libopus"),
)


@cache
def seeds() -> list[bytes]:
    """Return sound files of each kind that is taken, small ones."""
    with TemporaryDirectory() as folder:
        return [path.read_bytes() for path in _files(Path(folder))]


def mutated(random: Random) -> bytes:
    """Return a damaged video or audio file."""
    return damaged(random, seeds())


def _files(folder: Path) -> Iterator[Path]:
    for source in _VIDEOS:
        yield source.write(folder)
    for name, codec in _SOUNDS:
        yield audio_file(folder / f"sound-{name}", music(0.3), codec)
    ours = clip(folder / "ours.mp4", 6, Look(64, 48, 30))
    yield ours
    yield fragmented(ours, folder / "fragmented.mp4")


def fragmented(path: Path, out: Path) -> Path:
    """Copy a clip into an MP4 that has its index in pieces."""
    with (
        av.open(str(path)) as source,
        av.open(str(out), "w", options={"movflags": "frag_every_frame+empty_moov"}) as to,
    ):
        stream = to.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                to.mux(packet)
    return out
