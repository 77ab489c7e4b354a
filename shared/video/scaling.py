"""Crop boxes of any position and size, below the pixel, by a scaler that knows whole pixels only.

A box is approximated by integers in each direction: how much of the source is cut out, to how many pixels that is
scaled, and where in these the frame begins. Of the many choices one always comes close, provided that the source has
slightly fewer pixels than the frame: scaled to nearly the same size, all would come down to one position. So a scene
is held in several sizes, a percent apart, which also keeps the picture equally sharp throughout a zoom.
"""

import math
from typing import Final, NamedTuple

from av.video.frame import VideoFrame

from shared.video.filters import Chain, scale
from shared.video.motion import Box

_ROOM: Final = 96  # how many more pixels than a frame has may be made, to choose the frame from
_EDGE: Final = _ROOM + 2  # what surrounds the source, repeating its outermost pixels
_CLOSE: Final = 0.02  # an error, in pixels, that is not worth another size
_NOTHING: Final = 0.002
_FIXED_POINT: Final = 1 << 16  # of the scaler's steps through its source
_PARTS: Final = (0.955, 0.985)  # how many pixels a box has for one of the frame
_SIZES: Final = 3  # between these
_SLACK: Final = 0.002  # for sizes are whole

Size = tuple[int, int]


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
    """Makes frames of a size, planar YUV 4:2:0, from boxes of a scene in RGBA; all between the two boxes given."""

    def __init__(self, scene: VideoFrame, size: Size, first: Box, last: Box) -> None:
        self._scene, (self._width, self._height) = scene, size
        self._parts = (1.0, 1.0) if first == last else _PARTS
        self._sizes = self._planned(max(first, last), min(first, last))
        self._size = self._sizes[0]
        self._sources: dict[Size, VideoFrame] = {}
        self._chains: dict[tuple[int, ...], Chain] = {}

    def frame(self, box: Box) -> VideoFrame:
        """Return what is in the box."""
        across, down = self._cuts(box)
        source = self._source()
        chain = self._chain(source, across.start % 2, down.start % 2, across.offset % 2, down.offset % 2)
        chain.tell(0, w=across.length, h=down.length, x=_EDGE + across.start, y=_EDGE + down.start)
        chain.tell(1, w=across.scaled, h=down.scaled)
        chain.tell(2, x=across.offset, y=down.offset)
        return chain(source)

    def _planned(self, widest: Box, narrowest: Box) -> list[Size]:
        """Return the sizes that the scene may be needed in."""
        fewest, most = self._parts
        step = (most / fewest) ** (1 / _SIZES)
        count = _SIZES + math.ceil(math.log(widest.width / narrowest.width) / math.log(step)) if step > 1 else 1
        parts = [fewest * step ** (index + 0.5) for index in range(count)]
        sizes = [(self._width / widest.width * part, self._height / widest.height * part) for part in parts]
        return [(2 * round(width / 2), 2 * round(height / 2)) for width, height in sizes]

    def _cuts(self, box: Box) -> tuple[Cut, Cut]:
        """Return both directions of the box in the size of before where that does well, else in the best one."""
        low, high = (part + slack for part, slack in zip(self._parts, (-_SLACK, _SLACK), strict=True))
        fit = [size for size in self._sizes if low <= size[0] * box.width / self._width <= high] or self._sizes
        best = None
        for size in sorted(fit, key=lambda size: size != self._size):
            # The scaler's steps are rounded, so that the scene does not end exactly where the size does.
            width = self._scene.width / _step(self._scene.width, size[0])
            height = self._scene.height / _step(self._scene.height, size[1])
            across = cut(self._width, width * (box.x - box.width / 2), width * box.width)
            down = cut(self._height, height * (box.y - box.height / 2), height * box.height)
            error = math.hypot(across.error, down.error)
            best = min(best or (error, size, across, down), (error, size, across, down))
            if size == self._size and error <= _CLOSE:
                break
        assert best
        _, self._size, across, down = best
        return across, down

    def _source(self) -> VideoFrame:
        """Return the scene in the present size, on a canvas of one size for all, its outermost pixels continued."""
        size = self._size
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
    """Return a stretch of the source, which shall become the frame's side, in integers.

    It may begin anywhere, even within a pixel of chroma, but has whole ones: its lengths are even.
    """
    inverse, middle = length / side, start + length / 2
    scales = []
    for scaled in range(side, side + _ROOM + 1, 2):
        whole = 2 * round(scaled * inverse / 2)
        step = _step(whole, scaled)
        scales.append((abs(step / inverse - 1) * side / 2, whole, scaled, step))
    best = Cut(math.inf, 0, 0, 0, 0)
    for slip, whole, scaled, step in sorted(scales)[:2]:
        room = scaled - side + 1
        for turn in range(room):
            offset = (room // 2 + turn) % room  # from the middle, where a zoom finds its own at once
            exact = middle - (offset + side / 2) * step
            error = slip + abs(exact - round(exact)) / inverse
            if error < best.error:
                best = Cut(error, round(exact), whole, scaled, offset)
            if error < slip + _NOTHING:
                break
    return best


def _step(length: int, scaled: int) -> float:
    """Return by how much the scaler goes on in the source for each pixel that it makes."""
    return (length * _FIXED_POINT + scaled // 2) // scaled / _FIXED_POINT
