"""A frame of video as a picture."""

from av.video.frame import VideoFrame
from PIL import Image


def picture_of(frame: VideoFrame, width: int | None = None, height: int | None = None) -> Image.Image:
    """Return the frame in RGB, scaled where a size is given."""
    rgb = frame.reformat(width, height, "rgb24", interpolation="AREA" if width else None)
    plane = rgb.planes[0]
    return Image.frombytes("RGB", (rgb.width, rgb.height), bytes(plane), "raw", "RGB", plane.line_size)
