"""How much a coded picture differs from its original."""

from array import array
from collections.abc import Sequence

from PIL import Image, ImageMath

_BLOCK = 8
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Return the mean structural similarity of two luma planes of one size, in blocks of 8 x 8; 1 is equality."""
    x, y = (image.convert("L").convert("F") for image in (one, other))
    moments = [_means(x), _means(y), *(_means(_product(a, b)) for a, b in ((x, x), (y, y), (x, y)))]
    return sum(map(_similarity, *moments)) / len(moments[0])


def _similarity(mx: float, my: float, xx: float, yy: float, xy: float) -> float:
    light = (2 * mx * my + _C1) / (mx * mx + my * my + _C1)
    return light * (2 * (xy - mx * my) + _C2) / (xx - mx * mx + yy - my * my + _C2)


def _product(one: Image.Image, other: Image.Image) -> Image.Image:
    return ImageMath.lambda_eval(lambda planes: planes["one"] * planes["other"], one=one, other=other)  # type: ignore[no-any-return]


def _means(plane: Image.Image) -> Sequence[float]:
    return array("f", plane.reduce(_BLOCK).tobytes())
