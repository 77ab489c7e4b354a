"""A lighthouse at dusk."""

from itertools import pairwise
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from infra.local.demo.scenes.motifs import paper_boat
from infra.local.demo.scenes.paint import (
    HEIGHT,
    SIZE,
    WIDTH,
    Point,
    clouds,
    fade,
    finished,
    glitter,
    glow,
    lit,
    mirrored,
    polygon,
    shaded,
    shape,
    sky,
    tinted,
    veiled,
)


def lighthouse(rng: Random) -> Image.Image:
    """Return a lighthouse on its cliff at dusk, its beam over the sea."""
    lamp, horizon = (1002.0, 214.0), 548
    canvas = sky(
        (0, (28, 30, 74)),
        (0.3, (92, 66, 122)),
        (0.5, (204, 98, 110)),
        (0.64, (255, 158, 92)),
        (0.72, (255, 206, 132)),
        (1, (255, 210, 140)),
    )
    high = shaded(clouds(rng, 2.2, 7, 6), lambda level: (level - 0.46) * 4)
    canvas = veiled(
        canvas, ImageChops.multiply(high, fade((0, 0.7), (0.35, 1), (0.62, 0.5), (0.72, 0))), (70, 48, 96), 0.72
    )
    under = ImageChops.subtract(high, ImageChops.offset(high, 0, -9))
    canvas = lit(
        canvas,
        ImageChops.multiply(shaded(under, lambda level: level * 3), fade((0, 0.2), (0.5, 1), (0.7, 0.2), (1, 0))),
        (255, 120, 84),
        0.9,
    )
    canvas = lit(canvas, glow((330, 540), (720, 300), 2), (255, 150, 80), 0.8)
    canvas = lit(canvas, glow((330, 545), (170, 120), 2.4), (255, 216, 150))
    canvas = lit(
        canvas, shape(lambda d, s: d.ellipse([292 * s, 512 * s, 368 * s, 588 * s], fill=255), 1), (255, 236, 180)
    )
    canvas = mirrored(canvas, horizon, rng, 2.2, 1.6)
    canvas = tinted(canvas, fade((0, 0), (0.713, 0), (0.716, 0.12), (0.8, 0.6), (1, 1)), (120, 112, 166))
    swell = shaded(clouds(rng, 5, 42, 4), lambda level: (level - 0.5) * 5)
    canvas = lit(canvas, glow((330, 585), (200, 110), 1.4), (255, 136, 70), 0.75)
    canvas = veiled(
        canvas, ImageChops.multiply(swell, fade((0, 0), (0.715, 0), (0.75, 0.5), (1, 1))), (42, 34, 84), 0.5
    )
    canvas = lit(canvas, glitter(rng, 330, 96, horizon, 420), (255, 190, 120), 0.85)
    for turn, power in ((-0.30, 0.62), (0.09, 0.30)):
        canvas = lit(canvas, _beam(lamp, turn), (255, 226, 160), power)
    cliff = [
        (WIDTH + 9, 300.0),
        (1240.0, 322.0),
        (1150.0, 356.0),
        (1086.0, 372.0),
        (1040.0, 384.0),
        (966.0, 388.0),
        (914.0, 404.0),
        (880.0, 440.0),
        (862.0, 492.0),
        (824.0, 524.0),
        (800.0, 560.0),
        (742.0, 580.0),
        (700.0, 590.0),
        (760.0, 597.0),
        (900.0, 600.0),
        (WIDTH + 9, 604.0),
        (WIDTH + 9, 300.0),
    ]
    outline = [
        (a[0] + (b[0] - a[0]) * i / 14 + rng.gauss(0, 1.6), a[1] + (b[1] - a[1]) * i / 14 + rng.gauss(0, 1.6))
        for a, b in pairwise(cliff)
        for i in range(14)
    ]
    rock = polygon(outline, 0.5)
    echo = shaded(
        rock.transpose(Image.Transpose.FLIP_TOP_BOTTOM).filter(ImageFilter.GaussianBlur(6)), lambda level: level * 0.5
    )
    echo = ImageChops.multiply(ImageChops.offset(echo, 0, 426), fade((0, 0), (0.76, 0), (0.78, 1), (1, 0.7)))
    canvas = veiled(canvas, echo, (24, 18, 50), 0.9)
    canvas = veiled(canvas, rock, (30, 24, 50))
    grit = clouds(rng, 60, 22, 4)
    relief = ImageChops.add(grit, ImageChops.invert(ImageChops.offset(grit, 4, 3)), scale=2)
    relief = ImageChops.multiply(rock, shaded(relief, lambda level: (level - 0.5) * 7))
    canvas = lit(canvas, ImageChops.multiply(relief, glow((780, 520), (560, 330), 1.3)), (255, 134, 100), 0.8)
    canvas = lit(canvas, ImageChops.subtract(rock, ImageChops.offset(rock, 3, 2)), (255, 150, 100), 0.3)
    canvas = _tower(canvas, lamp, 388)
    foam = _foam(rng)
    canvas = lit(canvas, foam, (255, 200, 180), 0.5)
    canvas = paper_boat(canvas, (470, 672), 54, ((255, 214, 176), (96, 62, 104)), -0.06)
    return finished(canvas, rng, 0.6, 0.6)


def _foam(rng: Random) -> Image.Image:
    """Return a mask of the surf at the foot of the cliff."""

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        for _ in range(150):
            x, y = rng.uniform(752, 1330), rng.uniform(594, 616)
            start = ((x + rng.gauss(0, 26)) * scale, (y + rng.uniform(-2, 9)) * scale)
            end = ((x + rng.gauss(30, 26)) * scale, (y + rng.uniform(-2, 9)) * scale)
            pen.line([start, end], fill=rng.randrange(80, 220), width=4)

    return shape(draw, 1.2)


def _beam(lamp: Point, turn: float) -> Image.Image:
    side = -1 if turn < 0 else 1
    far = (lamp[0] + side * 1500, lamp[1] + 1500 * abs(turn) * (-0.5 if side < 0 else -1))
    cone = polygon([lamp, (far[0], far[1] - 130), (far[0], far[1] + 130)], 7)
    return ImageChops.multiply(cone, shaded(glow(lamp, (1100, 1100), 1.3), lambda level: level * 1.15))


def _tower(canvas: Image.Image, lamp: Point, foot: int) -> Image.Image:
    x, y = lamp
    body = polygon([(x - 15, y + 22), (x + 15, y + 22), (x + 25, foot), (x - 25, foot)])
    canvas = veiled(canvas, body, (226, 178, 168))
    for stripe in range(3):
        top = y + 46 + stripe * 46
        wide = 15 + (top - y) * 0.066
        canvas = veiled(
            canvas,
            ImageChops.multiply(
                body,
                polygon([(x - wide - 9, top), (x + wide + 9, top), (x + wide + 9, top + 23), (x - wide - 9, top + 23)]),
            ),
            (142, 44, 58),
        )
    shade = Image.new("L", SIZE)
    shade.paste(Image.linear_gradient("L").rotate(90).resize((50, HEIGHT)), (round(x) - 25, 0))
    canvas = veiled(canvas, ImageChops.multiply(body, shaded(shade, lambda level: 0.12 + level)), (30, 20, 54), 0.9)
    canvas = veiled(
        canvas, polygon([(x - 22, y + 16), (x + 22, y + 16), (x + 20, y + 24), (x - 20, y + 24)]), (30, 22, 44)
    )
    canvas = veiled(
        canvas, polygon([(x - 11, y - 14), (x + 11, y - 14), (x + 11, y + 16), (x - 11, y + 16)]), (255, 232, 170)
    )
    canvas = veiled(canvas, polygon([(x - 15, y - 13), (x, y - 32), (x + 15, y - 13)]), (60, 28, 44))
    for bar in (-11, 0, 10):
        canvas = veiled(
            canvas,
            polygon([(x + bar, y - 14), (x + bar + 1.4, y - 14), (x + bar + 1.4, y + 16), (x + bar, y + 16)]),
            (50, 30, 44),
        )
    canvas = lit(canvas, glow(lamp, (210, 210), 3), (255, 214, 140), 0.9)
    return lit(canvas, glow(lamp, (46, 46), 2), (255, 246, 216))
