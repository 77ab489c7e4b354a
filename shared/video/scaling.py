"""Crop boxes of any position and size, below the pixel, by a scaler that knows whole pixels only.

A box is approximated by integers in each direction: how much of the source is cut out, to how many pixels that is
scaled, and where in these the frame begins. Of the many choices one always comes close, provided that the source has
slightly fewer pixels than the frame: scaled to nearly the same size, all would come down to one position. So a scene
is held in several sizes, a few percent apart, which also keeps the picture equally sharp throughout a zoom.
"""

import math
from typing import Final, NamedTuple

from av.video.frame import VideoFrame

from shared.video.filters import Chain, scale
from shared.video.motion import Box

_ROOM: Final = 64  # how many more pixels than a frame has may be made, to choose the frame from
_EDGE: Final = _ROOM + 2  # what surrounds the source, repeating its outermost pixels
_CLOSE: Final = 0.03  # an error, in pixels, that is not worth another size
_ZOOMING: Final = (0.90, 0.97)  # what a box may have of a frame's pixels
_SLIDING: Final = (0.965, 0.985)  # close to 1, for then whole steps divide a pixel finely
_SIZES: Final = 3  # in each of these ranges
_FIXED_POINT: Final = 1 << 16  # of the scaler's steps through its source


class Cut(NamedTuple):
    """One direction of a box in integers: a part of the source, to how much it is scaled, where the frame begins in it.

    `error` is the largest of any pixel of the frame, in its pixels.
    """

    error: float
    start: int
    length: int
    scaled: int
    offset: int


class Scaler:
    """Makes frames of a size from boxes of a scene, which is planar YUV 4:4:4; all between the two boxes given."""

    def __init__(self, scene: VideoFrame, size: tuple[int, int], first: Box, last: Box) -> None:
        self._scene, (self._width, self._height) = scene, size
        self._range = (1.0, 1.0) if first == last else _SLIDING if first.width == last.width else _ZOOMING
        self._sizes = self._planned(first, last)
        self._size = self._sizes[0]
        self._sources: dict[tuple[int, int], VideoFrame] = {}
        self._chains: dict[tuple[int, ...], Chain] = {}

    def frame(self, box: Box) -> VideoFrame:
        """Return what is in the box, planar YUV 4:2:0."""
        across, down = self._cuts(box)
        source = self._source(self._size)
        chain = self._chain(source, across.start % 2, down.start % 2, across.offset % 2, down.offset % 2)
        chain.tell(0, w=across.length, h=down.length, x=_EDGE + across.start, y=_EDGE + down.start)
        chain.tell(1, w=across.scaled, h=down.scaled)
        chain.tell(2, x=across.offset, y=down.offset)
        return chain(source)

    def _planned(self, first: Box, last: Box) -> list[tuple[int, int]]:
        """Return the sizes that the scene may be needed in."""
        widest, narrowest = max(first, last), min(first, last)
        low, high = self._range
        step = (high / low) ** (1 / _SIZES)
        count = _SIZES + math.ceil(math.log(widest.width / narrowest.width) / math.log(step)) if step > 1 else 1
        parts = [low * step ** (index + 0.5) for index in range(count)]
        sizes = [(self._width / widest.width * part, self._height / widest.height * part) for part in parts]
        return [(2 * round(width / 2), 2 * round(height / 2)) for width, height in sizes]

    def _cuts(self, box: Box) -> tuple[Cut, Cut]:
        """Return both directions of the box in the size of before where that does well, else in the best one."""
        low, high = self._range
        parts = {size: size[0] * box.width / self._width for size in self._sizes}
        fit = [size for size, part in parts.items() if low * 0.998 <= part <= high * 1.002] or self._sizes
        best = None
        for size in sorted(fit, key=lambda size: size != self._size):
            cuts = (
                cut(self._width, size[0] * (box.x - box.width / 2), size[0] * box.width),
                cut(self._height, size[1] * (box.y - box.height / 2), size[1] * box.height),
            )
            error = math.hypot(cuts[0].error, cuts[1].error)
            if best is None or error < best[0]:
                best = error, cuts, size
            if size == self._size and error <= _CLOSE:
                break
        assert best is not None
        _, cuts, self._size = best
        return cuts

    def _source(self, size: tuple[int, int]) -> VideoFrame:
        """Return the scene in a size, on a canvas that is the same for all sizes, its outermost pixels continued."""
        if size not in self._sources:
            width, height = (max(sides) + 2 * _EDGE for sides in zip(*self._sizes, strict=True))
            right, bottom = width - size[0] - _EDGE, height - size[1] - _EDGE
            self._sources[size] = Chain(
                [self._scene],
                scale(*size),
                "format=yuv420p",
                f"pad={width}:{height}:{_EDGE}:{_EDGE}",
                f"fillborders=left={_EDGE}:top={_EDGE}:right={right}:bottom={bottom}:mode=smear",
            )(self._scene)
        return self._sources[size]

    def _chain(self, source: VideoFrame, *odd: int) -> Chain:
        """Return the filters for boxes that begin at odd or even pixels, between which chroma lies elsewhere."""
        if odd not in self._chains:
            size = f"{self._width}:{self._height}"
            start_x, start_y, offset_x, offset_y = (256 * one for one in odd)
            self._chains[odd] = Chain(
                [source],
                f"crop={size}:0:0:exact=1",
                f"scale={size}:flags=bicubic:threads=1:in_range=tv:out_range=tv"
                f":in_h_chr_pos={-start_x}:in_v_chr_pos={128 - start_y}"
                f":out_h_chr_pos={offset_x}:out_v_chr_pos={128 + offset_y}",
                f"crop={size}:0:0:exact=1",
            )
        return self._chains[odd]


def cut(side: int, start: float, length: float) -> Cut:
    """Return a stretch of the source, scaled to the frame's side, in integers.

    Which parts of a chroma pixel a cut begins at is free, how many it has is not: lengths are even.
    """
    inverse = length / side
    scales = []
    for scaled in range(side, side + _ROOM + 1, 2):
        whole = 2 * round(scaled * inverse / 2)
        step = ((whole * _FIXED_POINT) + scaled // 2) // scaled / _FIXED_POINT
        scales.append((abs(step / inverse - 1) * side / 2, whole, scaled, step))
    middle = start + length / 2
    best = Cut(math.inf, 0, 0, 0, 0)
    for slip, whole, scaled, step in sorted(scales)[:2]:
        for offset in range(scaled - side + 1):
            exact = middle - (offset + side / 2) * step
            error = abs(exact - round(exact)) / inverse + slip
            if error < best.error:
                best = Cut(error, round(exact), whole, scaled, offset)
    return best
