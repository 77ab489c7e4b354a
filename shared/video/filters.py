"""Chains of libavfilter's filters: frames in, a frame out."""

from collections.abc import Sequence
from itertools import count
from typing import Final

from av.filter import Graph
from av.video.frame import VideoFrame

_COLOURS: Final = {"rgb24": "colorspace=gbr:range=pc", "rgba": "colorspace=gbr:range=pc"}
_OURS: Final = "colorspace=bt709:range=tv"
_LEFT: Final = "out_color_matrix=bt709:out_range=tv:out_chroma_loc=left"
_EXACT: Final = "flags=lanczos+accurate_rnd+full_chroma_inp:threads=1"


class Chain:
    """Filters one after the other, of which the first takes a frame of each input; all frames of the inputs' kinds."""

    def __init__(self, inputs: Sequence[VideoFrame], *filters: str) -> None:
        self._graph, self._clock = Graph(), count()
        self._graph.threads = 1
        added = [self._graph.add(name, arguments) for name, _, arguments in (text.partition("=") for text in filters)]
        self._sources = [self._graph.add("buffer", _described(frame)) for frame in inputs]
        for pad, source in enumerate(self._sources):
            source.link_to(added[0], 0, pad)
        self._filters = added
        self._sink = self._graph.add("buffersink")
        self._graph.link_nodes(*added, self._sink)
        self._graph.configure()

    def __call__(self, *frames: VideoFrame) -> VideoFrame:
        """Return what the filters make of one frame for each input."""
        now = next(self._clock)
        for source, frame in zip(self._sources, frames, strict=True):
            frame.pts = now
            source.push(frame)
        made = self._sink.pull()
        assert isinstance(made, VideoFrame)
        return made

    def tell(self, place: int, **values: float) -> None:
        """Change options of one of the filters from the next frame on."""
        for name, value in values.items():
            self._filters[place].process_command(name, str(value))


def scale(width: int, height: int) -> str:
    """Return the filter that scales into our colours: BT.709, limited range, chroma sited left."""
    return f"scale=w={width}:h={height}:{_EXACT}:{_LEFT}"


def _described(frame: VideoFrame) -> str:
    kind = frame.format.name
    return f"video_size={frame.width}x{frame.height}:pix_fmt={kind}:time_base=1/1:{_COLOURS.get(kind, _OURS)}"
