"""Pictures of a finished video: a still poster, and a short moving preview."""

from pathlib import Path
from typing import Final

POSTER_TYPE: Final = "image/jpeg"  # what every link preview shows
PREVIEW_TYPE: Final = "image/webp"


def poster(path: Path) -> bytes:
    """Return a still of a good moment, a JPEG of the video's own size."""
    raise NotImplementedError


def preview(path: Path) -> bytes:
    """Return three seconds of moments from all of the video, as a small animated WebP that loops."""
    raise NotImplementedError
