"""One clip: a still in motion, out of its predecessor's or out of black, to an MP4."""

from collections.abc import Callable, Iterator
from pathlib import Path

from av.video.frame import VideoFrame
from PIL import Image

from shared.errors import AppError
from shared.timeline import Clip, Motion
from shared.video.blending import Mixer, Overlay
from shared.video.encoding import Encoder
from shared.video.look import Look
from shared.video.motion import Camera
from shared.video.pictures import open_still, scene
from shared.video.scaling import Scaler


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

    `previous` is the predecessor's still, needed where the clip has one. `overlay` is an RGBA picture of the look's
    size that is laid over each frame. `on_frame` hears how many frames are done. Raises `frame_unreadable`, and
    `frame_image_missing` for a predecessor's still that is needed and not given.
    """
    with Encoder(path, look) as encoder:
        caption: Overlay | None = None
        for done, frame in enumerate(_frames(clip, still, previous, look), start=1):
            if overlay is not None:
                caption = caption or Overlay(overlay, frame)
                frame = caption.over(frame)  # noqa: PLW2901
            encoder.add(frame)
            if on_frame:
                on_frame(done)


class _Shot:
    """A still in motion."""

    def __init__(self, still: bytes, frame_number: int, motion: Motion, shown: int, look: Look) -> None:
        self._camera, self._last = Camera(motion, shown / look.fps), max(1, shown - 1)
        ends = self._camera.box(0), self._camera.box(1)
        picture = scene(open_still(still, frame_number), look, self._camera)
        self._scaler = Scaler(picture, (look.width, look.height), *ends)

    def frame(self, index: int) -> VideoFrame:
        return self._scaler.frame(self._camera.box(index / self._last))


def _frames(clip: Clip, still: bytes, previous: bytes | None, look: Look) -> Iterator[VideoFrame]:
    shot = _Shot(still, clip.frame_number, clip.motion, clip.shown, look)
    lead, end = clip.transition_length, clip.length - clip.fade_out
    mixer = Mixer(shot.frame(0)) if lead or clip.fade_out else None
    if mixer:
        yield from _transition(clip, shot, previous, look, mixer)
    for index in range(lead, end):
        yield shot.frame(index)
    for index in range(end, clip.length):
        assert mixer
        yield mixer.dimmed(shot.frame(index), (clip.length - 1 - index) / clip.fade_out)


def _transition(clip: Clip, shot: _Shot, previous: bytes | None, look: Look, mixer: Mixer) -> Iterator[VideoFrame]:
    """Yield the clip's first frames: out of black, through black, or out of the predecessor's picture."""
    before = clip.previous
    if before is None:
        for index in range(clip.transition_length):
            yield mixer.dimmed(shot.frame(index), _eased((index + 1) / (clip.transition_length + 1)))
        return
    if previous is None:
        raise AppError("frame_image_missing", extra={"frameNumber": before.frame_number})
    gone = _Shot(previous, before.frame_number, before.motion, before.shown, look)
    for index in range(clip.transition_length):
        share = (index + 1) / (clip.transition_length + 1)
        if clip.transition == "crossfade":
            yield mixer.mixed(gone.frame(before.length + index), shot.frame(index), _eased(share))
        elif share < 0.5:
            yield mixer.dimmed(gone.frame(before.length + index), 1 - _eased(2 * share))
        else:
            yield mixer.dimmed(shot.frame(index), _eased(2 * share - 1))


def _eased(share: float) -> float:
    return share * share * (3 - 2 * share)
