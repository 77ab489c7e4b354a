"""One clip: a still in motion, out of its predecessor's or out of black, to an MP4."""

from collections.abc import Callable
from pathlib import Path

from av.video.frame import VideoFrame
from PIL import Image

from shared.timeline import Clip, Motion
from shared.video.encoding import Encoder
from shared.video.look import Look
from shared.video.motion import box
from shared.video.pictures import open_still


def render_clip(  # noqa: PLR0913
    clip: Clip,
    still: bytes,
    previous: bytes | None,
    look: Look,
    path: Path,
    *,
    overlay: Image.Image | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> None:
    """Write the clip as an MP4 of exactly `clip.length` frames.

    `previous` is the predecessor's still, wanted where the clip has one. `overlay` is an RGBA picture of the look's
    size that is laid over each frame. `on_frame` hears how many frames are done. Raises `frame_unreadable`.
    """
    picture = open_still(still, look, clip.frame_number)
    black = Image.new("RGB", picture.size)
    before = open_still(previous, look, clip.previous.frame_number) if previous and clip.previous else black
    with Encoder(path, look) as encoder:
        for index in range(clip.length):
            frame = _moved(picture, clip.motion, index, clip.shown)
            if index < clip.transition_length:
                frame = _transition(clip, index, before, frame)
            if overlay is not None:
                frame.paste(overlay, (0, 0), overlay)
            encoder.add(_planar(frame))
            if on_frame:
                on_frame(index + 1)


def _transition(clip: Clip, index: int, before: Image.Image, frame: Image.Image) -> Image.Image:
    share = (index + 1) / (clip.transition_length + 1)
    old = clip.previous
    out = _moved(before, old.motion, old.length + index, old.shown) if old else before
    if clip.transition == "crossfade":
        return Image.blend(out, frame, share)
    black = Image.new("RGB", frame.size)
    return Image.blend(out, black, 2 * share) if share < 0.5 else Image.blend(black, frame, 2 * share - 1)


def _planar(picture: Image.Image) -> VideoFrame:
    frame = VideoFrame(*picture.size, "rgb24")
    frame.planes[0].update(picture.tobytes())
    return frame.reformat(format="yuv420p", dst_colorspace="itu709")


def _moved(picture: Image.Image, motion: Motion, index: int, shown: int) -> Image.Image:
    width, height = picture.size
    left, top, right, bottom = box(motion, index / max(1, shown - 1))
    return picture.resize(
        picture.size, Image.Resampling.BICUBIC, (left * width, top * height, right * width, bottom * height)
    )
