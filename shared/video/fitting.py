"""Moving pictures made to fit a look: upright, scaled, in our colours, and at our rate."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import count
from typing import Final

from av.error import FFmpegError
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import PictureType, VideoFrame

from shared.errors import AppError
from shared.video.look import Look

_TURNS: Final = {90: ["transpose=cclock"], -90: ["transpose=clock"], 180: ["hflip", "vflip"], -180: ["hflip", "vflip"]}
_UNTAGGED: Final = 2
_HD_LINES: Final = 720  # from which on players take what is not tagged for BT.709
_EXACT: Final = "flags=bicubic+accurate_rnd+full_chroma_int"  # colours would be off by a shade or two otherwise
_COARSE: Final = 8  # the background is blurred at this part of its size
_BLUR: Final = 0.05  # of the look's height
_NEARLY_HALF: Final = Fraction(499, 1000)  # so that of twice our rate each second frame is shown


def paced(frames: Iterable[VideoFrame], fps: int) -> Iterator[tuple[int, VideoFrame]]:
    """Yield frames with their places at our rate, which rise: of those that fall on one place only the first."""
    start, last = None, -1
    for frame in frames:
        place = last + 1
        if frame.pts is not None and frame.time_base:
            seconds = frame.pts * frame.time_base
            start = seconds if start is None else start
            place = math.floor((seconds - start) * fps + _NEARLY_HALF)
        if place > last:
            yield place, frame
            last = place


class Fitter:
    """Turns frames of any size and format into planar YUV 4:2:0 of the look's size, BT.709, limited range.

    `pixel_aspect` is the width of the source's pixels over their height.
    """

    def __init__(self, look: Look, pixel_aspect: Fraction) -> None:
        self._look, self._pixel_aspect = look, pixel_aspect
        self._shape: tuple[object, ...] = ()
        self._graph = Graph()
        self._clock = count()

    def fitted(self, frame: VideoFrame) -> VideoFrame:
        """Return the frame as one of ours; the next one may be of another size or format. Raises `clip_damaged`."""
        shape = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, frame.rotation)
        try:
            if shape != self._shape:
                self._shape, self._graph = shape, _graph(frame, self._pixel_aspect, self._look)
            frame.pts, frame.time_base = next(self._clock), Fraction(1)
            self._graph.vpush(frame)
            out = self._graph.vpull()
        except FFmpegError as error:
            raise AppError("clip_damaged") from error
        out.pict_type = PictureType.NONE  # else the encoder would follow the source's
        return out


def _graph(frame: VideoFrame, pixel_aspect: Fraction, look: Look) -> Graph:
    graph, turns = Graph(), _TURNS.get(frame.rotation, [])
    shape = frame.width * pixel_aspect / frame.height
    wider = (1 / shape if abs(frame.rotation) == 90 else shape) / Fraction(look.width, look.height)
    across, down = min(Fraction(1), wider), min(Fraction(1), 1 / wider)
    matrix = "bt709" if frame.colorspace == _UNTAGGED and min(frame.width, frame.height) >= _HD_LINES else "auto"
    colours = f"in_color_matrix={matrix}:out_color_matrix=bt709:out_range=limited:{_EXACT}"
    source = f"buffer=video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1"
    # Cut out before it is scaled: a ribbon of a picture would be huge otherwise.
    cut = f"crop=iw*{float(down)}:ih*{float(across)}"
    whole = f"scale={look.width}:{look.height}"
    ends = ["setsar=1", "format=yuv420p", "buffersink"]
    if look.fit == "cover" or wider == 1:
        _chain(graph, source, *turns, cut, f"{whole}:{colours}", *ends)
    else:
        split = _chain(graph, source, *turns, "split")
        coarse = f"scale={_even(look.width / _COARSE)}:{_even(look.height / _COARSE)}:{colours}"
        blur = f"gblur=sigma={look.height * _BLUR / _COARSE}"
        behind = _chain(graph, cut, coarse, blur, f"{whole}:flags=bicubic", after=split)
        inner = f"scale={_even(look.width * across)}:{_even(look.height * down)}:{colours}"
        before = _chain(graph, inner, after=split, output=1)
        over = _chain(graph, "overlay=x=(W-w)/2:y=(H-h)/2", after=behind)
        before.link_to(over, 0, 1)
        _chain(graph, *ends, after=over)
    graph.configure()
    return graph


def _even(side: float | Fraction) -> int:
    return max(2, 2 * round(side / 2))


def _chain(graph: Graph, *filters: str, after: FilterContext | None = None, output: int = 0) -> FilterContext:
    """Add the filters, each fed by the one before it, and return the last."""
    for text in filters:
        name, _, arguments = text.partition("=")
        added = graph.add(name, arguments or None)
        if after is not None:
            after.link_to(added, output)
        after, output = added, 0
    assert after is not None
    return after
