"""ThumbHash against the reference implementation's answers, and against a decoder written from the format."""

import base64
from math import cos, pi

import pytest
from PIL import Image, ImageStat

from shared.images import optimise, thumbhash
from tests.shared.image_files import encoded, gradient

Pixel = tuple[float, float, float, float]


def veil(alpha: str, x: int, y: int) -> int:
    return {"opaque": 255, "alpha": (x * 9 + y * 11) % 256, "clear": 0}[alpha]


def pattern(width: int, height: int, alpha: str) -> bytes:
    return bytes(
        level
        for y in range(height)
        for x in range(width)
        for level in ((x * 7 + y * 3) % 256, (x * x + 5 * y) % 256, (x * y * 2 + 40) % 256, veil(alpha, x, y))
    )


@pytest.mark.parametrize(
    ("width", "height", "alpha", "expected"),
    [
        (32, 18, "opaque", "XhgONI5QZYhld4iGh3dweAp6eA=="),
        (18, 32, "opaque", "3OcJHAgwB3Vph3ZoaHhxYAxvjQ=="),
        (32, 32, "alpha", "YBiGFQYXIDhTWql4aDBFClSHR3iHZ2aAgw=="),
        (32, 1, "opaque", "1BkqeYp1h4iIiAiKY4gAjic="),
        (1, 1, "opaque", "wwYKVwAI9wiIh4hwj3CI+AiIcH/4AAAA"),
        (100, 75, "alpha", "HwiCBIIHlpY3SUAzuL8DyQpjY6CnJyZ7AA=="),
        (7, 5, "clear", "AAiCBIAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="),
        (23, 32, "opaque", "HggKHQxQhVKHaYdoh3d4eHBjC1uL"),
        (32, 24, "alpha", "XhiGFIYXQEd2eZhnB4WXgIZ5h2cJdlJ4Bw=="),
    ],
)
def test_same_bytes_as_the_reference_implementation(width: int, height: int, alpha: str, expected: str) -> None:
    assert base64.b64encode(thumbhash.encode(width, height, pattern(width, height, alpha))).decode() == expected


@pytest.mark.parametrize(("width", "height", "count"), [(0, 1, 0), (101, 1, 404), (2, 2, 15)])
def test_other_sizes_are_refused(width: int, height: int, count: int) -> None:
    with pytest.raises(ValueError, match="RGBA"):
        thumbhash.encode(width, height, bytes(count))


def shape(code: bytes) -> tuple[bool, int, int]:
    """Return alpha, and the number of luminance waves across and down, whose ratio is the picture's."""
    alpha, short, landscape = bool(code[2] >> 7), code[3] & 7, code[4] >> 7
    long = 5 if alpha else 7
    return (alpha, long, short) if landscape else (alpha, short, long)


def pixel(code: bytes, x: float, y: float) -> Pixel:
    """Return red, green, blue, alpha at a place of the unit square, 0 to 1."""
    alpha, across, down = shape(code)
    nibbles = [half for byte in code[6 if alpha else 5 :] for half in (byte & 15, byte >> 4)]
    bits = int.from_bytes(code[:5], "little")

    def channel(nx: int, ny: int, dc: float, scale: float) -> float:
        value = dc
        for v in range(ny):
            for u in range(nx):
                if (u or v) and u * ny < nx * (ny - v):
                    value += 2 * (nibbles.pop(0) / 7.5 - 1) * scale * cos(pi * u * x) * cos(pi * v * y)
        return value

    lightness = channel(max(3, across), max(3, down), (bits & 63) / 63, (bits >> 18 & 31) / 31)
    yellow = channel(3, 3, (bits >> 6 & 63) / 31.5 - 1, (bits >> 27 & 63) / 63 * 1.25)
    red = channel(3, 3, (bits >> 12 & 63) / 31.5 - 1, (bits >> 33 & 63) / 63 * 1.25)
    veil = channel(5, 5, (code[5] & 15) / 15, (code[5] >> 4) / 15) if alpha else 1.0
    b = lightness - 2 / 3 * yellow
    r = (3 * lightness - b + red) / 2
    return min(max(r, 0), 1), min(max(r - red, 0), 1), min(max(b, 0), 1), veil


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (300, 300), (1920, 300), (40, 30)])
def test_placeholder_has_the_pictures_shape_and_colours(size: tuple[int, int]) -> None:
    picture = gradient(*size)
    code = optimise(encoded(picture, "PNG")).placeholder
    assert len(code) <= 25
    alpha, across, down = shape(code)
    assert not alpha
    assert max(across, down) == 7
    assert across / down == pytest.approx(size[0] / size[1], rel=0.25) or min(across, down) == 1
    for x, y in ((0.1, 0.1), (0.5, 0.5), (0.9, 0.2), (0.2, 0.9)):
        original = picture.getpixel((int(x * size[0]), int(y * size[1])))
        assert isinstance(original, tuple)
        assert pixel(code, x, y)[:3] == pytest.approx([level / 255 for level in original], abs=0.2)


def test_placeholder_has_the_average_colour() -> None:
    picture = Image.effect_mandelbrot((400, 300), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    picture.paste((220, 90, 20), (0, 0, 200, 300))
    code = optimise(encoded(picture, "PNG")).placeholder
    places = [(i + 0.5) / 16 for i in range(16)]
    average = [sum(pixel(code, x, y)[band] for x in places for y in places) / 256 for band in range(3)]
    assert average == pytest.approx([mean / 255 for mean in ImageStat.Stat(picture).mean], abs=0.05)


def test_placeholder_shows_where_the_picture_is_clear() -> None:
    picture = Image.new("RGBA", (300, 200), (200, 60, 30, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 150, 200))
    code = optimise(encoded(picture, "PNG")).placeholder
    assert shape(code)[0]
    assert pixel(code, 0.15, 0.5)[3] < 0.2
    assert pixel(code, 0.85, 0.5)[3] > 0.8
    assert pixel(code, 0.85, 0.5)[0] == pytest.approx(200 / 255, abs=0.1)
