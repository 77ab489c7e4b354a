"""A city in the rain."""

from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from infra.local.demo.scenes.motifs import paper_boat
from infra.local.demo.scenes.paint import (
    HEIGHT,
    WIDTH,
    Point,
    clouds,
    fade,
    finished,
    glitter,
    glow,
    lit,
    mirrored,
    mix,
    shaded,
    shape,
    sky,
    tinted,
    veiled,
)


def city(rng: Random) -> Image.Image:
    """Return a canal between towers at night, neon in the rain."""
    horizon = 520
    canvas = sky((0, (10, 16, 38)), (0.4, (26, 38, 72)), (0.68, (74, 72, 112)), (1, (20, 24, 48)))
    canvas = veiled(
        canvas, ImageChops.multiply(clouds(rng, 3, 4), fade((0, 0.9), (0.6, 0.2), (1, 0))), (54, 52, 88), 0.6
    )
    canvas = lit(canvas, glow((672, 510), (760, 420), 1.7), (255, 128, 112), 0.72)
    for layer in range(4):
        share = layer / 3
        body, windows = _towers(rng, layer, horizon)
        canvas = veiled(canvas, body, mix((58, 62, 102), (8, 12, 26), share**0.7))
        hues = shaded(clouds(rng, 14, 5, 2), lambda level: (level - 0.5) * 6 + 0.5)
        canvas = lit(canvas, ImageChops.multiply(windows, hues), (255, 202, 138), 0.5 + 0.5 * share)
        canvas = lit(canvas, ImageChops.multiply(windows, ImageChops.invert(hues)), (168, 214, 255), 0.4 + 0.3 * share)
        canvas = lit(canvas, windows.filter(ImageFilter.BoxBlur(9)), (255, 158, 104), 0.75)
        if layer < 3:
            canvas = veiled(
                canvas, fade((0, 0), (0.3, 0.06), (0.68, 0.75), (0.7, 0)), (112, 84, 124), 0.66 - 0.15 * layer
            )
    canvas = _neon(canvas, rng, horizon)
    lamps = _dots([(lamp * 46 + rng.uniform(-4, 4), horizon - 9 - rng.uniform(0, 2), 2.6) for lamp in range(30)])
    canvas = lit(
        canvas, shaded(lamps.filter(ImageFilter.GaussianBlur(9)), lambda level: level * 16), (255, 176, 104), 0.75
    )
    canvas = lit(canvas, lamps, (255, 244, 220))
    canvas = mirrored(canvas, horizon, rng, 1.5, 1.5)
    smear = canvas.crop((0, horizon, WIDTH, HEIGHT)).filter(ImageFilter.BoxBlur((1, 26)))
    canvas.paste(Image.blend(canvas.crop((0, horizon, WIDTH, HEIGHT)), smear, 0.62), (0, horizon))
    canvas = tinted(canvas, fade((0, 0), (0.67, 0), (0.68, 0.5), (1, 1)), (190, 190, 224))
    canvas = lit(canvas, glitter(rng, 672, 380, horizon, 420), (255, 190, 170), 0.4)
    canvas = lit(canvas, glow((560, 664), (210, 62), 2), (255, 196, 120), 0.34)
    canvas = paper_boat(canvas, (560, 668), 62, ((255, 238, 220), (88, 76, 118)), 0.05)
    canvas = lit(canvas, glow((562, 640), (60, 52), 2.2), (255, 190, 110), 0.7)
    canvas = lit(canvas, _bokeh(rng), (255, 160, 120), 0.5)
    canvas = lit(canvas, _rain(rng, 750, 30, 1), (180, 200, 255), 0.2)
    canvas = lit(canvas, _rain(rng, 130, 84, 2).filter(ImageFilter.GaussianBlur(1.2)), (200, 214, 255), 0.24)
    return finished(canvas, rng, 0.75, 0.7)


def _dots(places: list[tuple[float, float, float]]) -> Image.Image:
    """Return a mask of round lights, each given by its centre and radius."""

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        for x, y, r in places:
            pen.ellipse([(x - r) * scale, (y - r) * scale, (x + r) * scale, (y + r) * scale], fill=255)

    return shape(draw, 0.5)


def _towers(rng: Random, layer: int, horizon: int) -> tuple[Image.Image, Image.Image]:
    """Return the masks of one row of towers, and of their lit windows."""
    boxes: list[tuple[float, float, float]] = []
    x = -30.0
    while x < WIDTH:
        width = rng.uniform(30, 66) + 20 * layer
        gap = abs(x + width / 2 - 672) / 672
        tall = (0.42 + 0.58 * gap**0.8) * rng.uniform(150, 430) * (1.2 - 0.05 * layer)
        if layer < 2 or gap > 0.16 * layer:
            boxes.append((x, horizon - tall - 20, width))
        x += width + rng.uniform(0, 14) + (20 if layer == 3 else 0)

    def bodies(pen: ImageDraw.ImageDraw, scale: int) -> None:
        for left, top, width in boxes:
            pen.rectangle([left * scale, top * scale, (left + width) * scale, horizon * scale + 4], fill=255)
            if rng.random() < 0.45:
                inset = width * rng.uniform(0.15, 0.3)
                pen.rectangle(
                    [
                        (left + inset) * scale,
                        (top - rng.uniform(12, 40)) * scale,
                        (left + width - inset) * scale,
                        top * scale,
                    ],
                    fill=255,
                )
            if rng.random() < 0.4:
                pen.line(
                    [((left + width / 2) * scale, (top - 74) * scale), ((left + width / 2) * scale, top * scale)],
                    fill=200,
                    width=3,
                )

    def lights(pen: ImageDraw.ImageDraw, scale: int) -> None:
        pane, floor = 1.3 + 0.55 * layer, 3.6 + 1.5 * layer
        for left, top, width in boxes:
            busy = rng.uniform(0.08, 0.42)
            for row in range(int((horizon - top - 14) / floor)):
                for column in range(int((width - 6) / (pane * 2))):
                    if rng.random() < busy:
                        px, py = left + 4 + column * pane * 2, top + 6 + row * floor
                        pen.rectangle(
                            [px * scale, py * scale, (px + pane) * scale, (py + floor * 0.5) * scale],
                            fill=rng.randrange(40, 230),
                        )

    return shape(bodies, (3 - layer) * 0.4), shape(lights, (3 - layer) * 0.35)


def _neon(canvas: Image.Image, rng: Random, horizon: int) -> Image.Image:
    for colour in ((255, 60, 140), (60, 220, 255), (255, 150, 60), (150, 90, 255), (255, 80, 90)):
        signs = [
            (
                rng.choice((rng.uniform(30, 430), rng.uniform(900, 1310))),
                rng.uniform(190, 420),
                rng.uniform(8, 17),
                rng.uniform(50, 130),
            )
            for _ in range(3)
        ]

        def draw(pen: ImageDraw.ImageDraw, scale: int, signs: list[tuple[float, float, float, float]] = signs) -> None:
            for x, y, width, height in signs:
                for row in range(int((min(y + height, horizon - 20) - y) / width)):
                    _glyph(pen, rng, (x * scale, (y + row * width) * scale), width * 0.8 * scale)

        tubes = shape(draw, 0.7)
        canvas = lit(canvas, tubes, mix(colour, (255, 255, 255), 0.4))
        canvas = lit(
            canvas,
            shaded(tubes.filter(ImageFilter.BoxBlur(13)).filter(ImageFilter.BoxBlur(13)), lambda level: level * 4.5),
            colour,
        )
    return canvas


def _glyph(pen: ImageDraw.ImageDraw, rng: Random, at: Point, size: float) -> None:
    """Draw a sign of a script that nobody reads."""
    strokes = ((0, 0, 1, 0), (0, 0.4, 1, 0.4), (0, 0.8, 1, 0.8), (0.5, 0, 0.5, 0.8), (0, 0, 0, 0.8), (0.2, 0.8, 1, 0.1))
    for x0, y0, x1, y1 in rng.sample(strokes, 3):
        ends = [(at[0] + x * size, at[1] + y * size) for x, y in ((x0, y0), (x1, y1))]
        pen.line(ends, fill=255, width=3)


def _rain(rng: Random, count: int, length: float, width: int) -> Image.Image:
    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        for _ in range(count):
            x, y, reach = rng.uniform(-60, WIDTH + 60), rng.uniform(-60, HEIGHT), length * rng.uniform(0.5, 1.3)
            pen.line(
                [(x * scale, y * scale), ((x - reach * 0.13) * scale, (y + reach) * scale)],
                fill=rng.randrange(60, 255),
                width=width,
            )

    return shape(draw, 0.4)


def _bokeh(rng: Random) -> Image.Image:
    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        for _ in range(26):
            x, y, r = (
                rng.choice((rng.uniform(-20, 330), rng.uniform(1010, 1360))),
                rng.uniform(430, 780),
                rng.uniform(8, 34),
            )
            pen.ellipse(
                [(x - r) * scale, (y - r) * scale, (x + r) * scale, (y + r) * scale],
                fill=rng.randrange(30, 110),
                outline=rng.randrange(90, 150),
                width=3,
            )

    return shape(draw, 1.4)
