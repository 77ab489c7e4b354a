"""Where the camera is: crop boxes in fractions of the picture, eased from one end to the other."""

from typing import Final

from shared.timeline import Motion

Box = tuple[float, float, float, float]

_ZOOM: Final = 0.12


def box(motion: Motion, progress: float) -> Box:
    """Return left, top, right, bottom at a progress of 0 to 1."""
    eased = progress * progress * (3 - 2 * progress)
    if motion == "still":
        return 0.0, 0.0, 1.0, 1.0
    if motion in ("zoom_in", "zoom_out"):
        margin = _ZOOM / 2 * (eased if motion == "zoom_in" else 1 - eased)
        return margin, margin, 1 - margin, 1 - margin
    way = eased if motion in ("pan_right", "pan_down") else 1 - eased
    left, top = (way * _ZOOM, _ZOOM / 2) if motion in ("pan_left", "pan_right") else (_ZOOM / 2, way * _ZOOM)
    return left, top, left + 1 - _ZOOM, top + 1 - _ZOOM
