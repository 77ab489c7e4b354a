"""Frames laid over one another, all of them planar YUV 4:2:0: for transitions, and for captions."""

from typing import Final

from av.video.frame import VideoFrame
from PIL import Image

from shared.video.filters import Chain, scale
from shared.video.pictures import pixels

_BLACK: Final = (16, 128, 128)
_WHOLE: Final = 255


class Mixer:
    """Mixes frames of one size."""

    def __init__(self, like: VideoFrame) -> None:
        self._mask = VideoFrame(like.width, like.height, "yuv420p")
        self._black = VideoFrame(like.width, like.height, "yuv420p")
        _fill(self._black, _BLACK)
        self._chain = Chain([self._black, like, self._mask], "maskedmerge")

    def mixed(self, one: VideoFrame, other: VideoFrame, share: float) -> VideoFrame:
        """Return one frame with a share of the other, 0 to 1."""
        weight = round(share * _WHOLE)
        _fill(self._mask, (weight, weight, weight))
        return self._chain(one, other, self._mask)

    def dimmed(self, frame: VideoFrame, light: float) -> VideoFrame:
        """Return the frame with a share of its light, 0 to 1."""
        return self.mixed(self._black, frame, light)


class Overlay:
    """A picture with transparency, laid over frames of its size."""

    def __init__(self, picture: Image.Image, like: VideoFrame) -> None:
        left, top, right, bottom = picture.getchannel("A").getbbox() or (0, 0, 2, 2)
        box = left // 2 * 2, top // 2 * 2, (right + 1) // 2 * 2, (bottom + 1) // 2 * 2
        source = pixels(picture.crop(box))
        self._picture = Chain([source], scale(source.width, source.height), "format=yuva420p")(source)
        self._chain = Chain([like, self._picture], f"overlay=x={box[0]}:y={box[1]}:format=yuv420:eval=init")

    def over(self, frame: VideoFrame) -> VideoFrame:
        """Return the frame with the picture over it."""
        return self._chain(frame, self._picture)


def _fill(frame: VideoFrame, levels: tuple[int, int, int]) -> None:
    for plane, level in zip(frame.planes, levels, strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
