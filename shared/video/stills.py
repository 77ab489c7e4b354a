"""A frame of video as a picture."""

from typing import Final

from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from PIL import Image

_EXACT: Final = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT  # colours would be darker by a shade or two


def picture_of(frame: VideoFrame, width: int | None = None, height: int | None = None) -> Image.Image:
    """Return the frame in RGB, scaled where a size is given."""
    rgb = frame.reformat(width, height, "rgb24", interpolation=_EXACT | Interpolation.BICUBIC)
    plane = rgb.planes[0]
    return Image.frombytes("RGB", (rgb.width, rgb.height), bytes(plane), "raw", "RGB", plane.line_size)
