"""What more than one scene shows: the paper boat, and the stars."""

from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from infra.local.demo.scenes.paint import WIDTH, Colour, Point, mix, polygon, shaded, shape, veiled


def paper_boat(
    canvas: Image.Image, at: Point, size: float, colours: tuple[Colour, Colour], lean: float = 0.0
) -> Image.Image:
    """Return the canvas with a folded boat on the water at a point, in light and shadow, and its reflection."""
    light, shadow = colours
    facets = (
        (((-0.27, -0.30), (0.03, -0.78), (0.03, -0.16)), mix(shadow, light, 0.52)),
        (((0.03, -0.78), (0.33, -0.30), (0.03, -0.16)), mix(shadow, light, 0.95)),
        (((-1.0, -0.42), (-0.27, -0.30), (0.03, -0.16), (-0.10, 0.02), (-0.56, 0.02)), mix(shadow, light, 0.40)),
        (((1.0, -0.42), (0.33, -0.30), (0.03, -0.16), (-0.10, 0.02), (0.56, 0.02)), mix(shadow, light, 0.80)),
        (((-0.56, 0.02), (-1.0, -0.42), (0.03, -0.05), (1.0, -0.42), (0.56, 0.02)), mix(shadow, light, 0.62)),
    )

    def placed(points: tuple[Point, ...], mirror: float) -> list[Point]:
        return [(at[0] + size * (x - lean * y), at[1] + mirror * size * (y - lean * x * mirror)) for x, y in points]

    for points, colour in facets:
        echo = shaded(polygon(placed(points, -0.8), size / 26), lambda level: level * 0.38)
        canvas = veiled(canvas, echo, mix(colour, shadow, 0.45))
    for points, colour in facets:
        canvas = veiled(canvas, polygon(placed(points, 1.0)), colour)
    waterline = polygon(
        [
            (at[0] - size * 0.62, at[1] + size * 0.02),
            (at[0] + size * 0.62, at[1] + size * 0.02),
            (at[0], at[1] + size * 0.07),
        ],
        size / 30,
    )
    return veiled(canvas, waterline, mix(shadow, (0, 0, 0), 0.5), 0.8)


def starfield(rng: Random, dense: Image.Image) -> Image.Image:
    """Return a mask of stars in the upper two thirds, more of them where the given mask is bright."""

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        for _ in range(2600):
            x, y = rng.uniform(0, WIDTH - 1), rng.uniform(0, 500)
            level = dense.getpixel((int(x), int(y)))
            assert isinstance(level, int)
            if rng.random() < 0.3 + level / 180:
                r = 0.45 + 0.4 * rng.random() ** 6 * 3
                pen.ellipse(
                    [(x - r) * scale, (y - r) * scale, (x + r) * scale, (y + r) * scale],
                    fill=round(255 * rng.uniform(0.15, 1) ** 1.8),
                )
        for _ in range(26):
            x, y, r = rng.uniform(0, WIDTH), rng.uniform(0, 430), rng.uniform(1.1, 1.9)
            pen.ellipse([(x - r) * scale, (y - r) * scale, (x + r) * scale, (y + r) * scale], fill=255)

    points = shape(draw)
    return ImageChops.screen(points, shaded(points.filter(ImageFilter.GaussianBlur(2.6)), lambda level: level * 2.2))
