"""The one H.264 configuration: clips that were encoded apart can be joined by copying their packets.

Nothing in it hangs on the content or the machine, so that SPS and PPS of all clips of one look are the same bytes.
"""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import av
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from av.video.stream import VideoStream

from shared.video.look import Look

_BT709: Final = 1
_X264: Final = {
    "preset": "veryfast",
    "crf": "19",
    "x264-params": "stitchable=1:open-gop=0:scenecut=0:bframes=8:b-adapt=0",
}


class Encoder:
    """Writes frames, planar YUV 4:2:0 of the look's size in BT.709 limited range, to an MP4 at a constant rate.

    Where its block is left by an error, no file stays behind.
    """

    def __init__(self, path: Path, look: Look) -> None:
        self._path, self._count = path, 0
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = _stream(self._container, look)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except BaseException:
            kind = kind or BaseException
            raise
        finally:
            if kind is not None:
                self._path.unlink(missing_ok=True)

    def add(self, frame: VideoFrame) -> None:
        """Append a frame; its time is its place in the row."""
        frame.pts, frame.time_base = self._count, self._stream.codec_context.time_base
        self._count += 1
        self._container.mux(self._stream.encode(frame))


def _stream(container: av.container.OutputContainer, look: Look) -> VideoStream:
    stream = container.add_stream("libx264", rate=look.fps, options=dict(_X264))
    stream.width, stream.height, stream.pix_fmt = look.width, look.height, "yuv420p"
    context = stream.codec_context
    context.time_base = Fraction(1, look.fps)
    context.gop_size = 10 * look.fps
    context.color_range, context.colorspace = ColorRange.MPEG, _BT709
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return stream
