"""The image pipeline's peers, doing its work: base64 in; WebP of 1920 px, WebP of 320 px and a 32-px picture out."""

import base64
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from time import process_time
from types import TracebackType
from typing import Any, NamedTuple, Self

import pyvips
from PIL import Image

from shared.images import MAX_SIDE, METHOD, QUALITY, THUMBNAIL_SIDE, decode_base64, optimise

_SHARP = Path(__file__).parent / "sharp"
_TINY_SIDE = 32


@dataclass(frozen=True, slots=True)
class Effort:
    """WebP settings; sharp and libvips call the method effort."""

    quality: int
    method: int


OURS = Effort(QUALITY, METHOD)


class Outcome(NamedTuple):
    """CPU milliseconds, and the image made."""

    ms: float
    image: bytes


class Sharp:
    """sharp in a Node process of its own, installed below `sharp/` at the first use."""

    def __enter__(self) -> Self:
        if not (_SHARP / "node_modules").exists():
            subprocess.run(["npm", "ci", "--loglevel=error"], cwd=_SHARP, check=True)
        self._node = subprocess.Popen(
            ["node", _SHARP / "worker.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._node.communicate()

    def __call__(self, way: str, text: str, effort: Effort) -> Outcome:
        """Run the `usual` way, a pipeline for each output, or `oneDecode`."""
        assert self._node.stdin and self._node.stdout
        job = {"way": way, "image": text, "quality": effort.quality, "effort": effort.method}
        self._node.stdin.write(json.dumps(job) + "\n")
        self._node.stdin.flush()
        answer = json.loads(self._node.stdout.readline())
        return Outcome(answer["ms"], base64.b64decode(answer["image"]))


def ours(text: str) -> bytes:
    """Run the pipeline of this bundle, ThumbHash included."""
    return optimise(decode_base64(text, len(text))).image.data


def vips(text: str, effort: Effort) -> bytes:
    """Run libvips by its own recipe: a thumbnail of the file for each size, the small ones from the larger."""
    data = base64.b64decode(text)

    def thumbnail(source: bytes, side: int) -> Any:
        return pyvips.Image.thumbnail_buffer(source, side, height=side, size="down")

    def webp(image: Any) -> bytes:
        saved: bytes = image.webpsave_buffer(Q=effort.quality, effort=effort.method, keep="none")
        return saved

    image, small = webp(thumbnail(data, MAX_SIDE)), webp(thumbnail(data, THUMBNAIL_SIDE))
    thumbnail(small, _TINY_SIDE).write_to_memory()
    return image


def naive_pillow(text: str, effort: Effort) -> bytes:
    """Do what most programs do: open the file for each output, Lanczos."""
    data = base64.b64decode(text)

    def webp(side: int) -> tuple[Image.Image, bytes]:
        with Image.open(BytesIO(data)) as file:
            image = file.convert("RGB")
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=None)
        return image, libwebp(image, effort)

    _, image = webp(MAX_SIDE)
    small, _ = webp(THUMBNAIL_SIDE)
    small.thumbnail((_TINY_SIDE, _TINY_SIDE), Image.Resampling.LANCZOS)
    return image


def libwebp(image: Image.Image, effort: Effort) -> bytes:
    """Encode pixels that are ready: the floor of all of these."""
    out = BytesIO()
    image.save(out, "WEBP", quality=effort.quality, method=effort.method)
    return out.getvalue()


def measured(work: Callable[[], bytes]) -> Outcome:
    """Run the work in this process, all its threads counted."""
    start = process_time()
    image = work()
    return Outcome(1000 * (process_time() - start), image)
