"""A stream in the forest."""

from functools import partial
from operator import mul
from random import Random

from PIL import Image, ImageChops, ImageDraw

from infra.local.demo.scenes.motifs import paper_boat
from infra.local.demo.scenes.paint import (
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
    mix,
    polygon,
    shaded,
    shape,
    sky,
    tinted,
    veiled,
)


def forest(rng: Random) -> Image.Image:
    """Return a stream between dark trunks, light falling through the leaves."""
    sun, horizon = (770.0, 190.0), 560
    canvas = sky(
        (0, (96, 146, 110)), (0.35, (204, 208, 130)), (0.62, (250, 222, 150)), (0.74, (132, 138, 84)), (1, (30, 44, 34))
    )
    canvas = lit(canvas, glow(sun, (620, 520), 1.8), (255, 222, 130), 0.9)
    leaves = clouds(rng, 12, 9, 6)
    for depth in range(5):
        share = depth / 4
        colour = mix((168, 188, 112), (8, 24, 22), share**0.75)
        canvas = veiled(canvas, _trunks(rng, depth, horizon), colour)
        crown = ImageChops.multiply(
            shaded(leaves, partial(_thresholded, 0.47 - 0.03 * depth)),
            fade((0, 1), (0.34 - 0.045 * depth, 0.8), (0.5 - 0.05 * depth, 0), (1, 0)),
        )
        canvas = veiled(canvas, crown, mix(colour, (96, 140, 44), 0.42), 0.75)
        leaves = leaves.transpose(Image.Transpose.ROTATE_180)
        if depth < 4:
            haze = ImageChops.multiply(clouds(rng, 3, 4, 4), fade((0, 0.1), (0.45, 0.5), (0.7, 1), (0.8, 0.4), (1, 0)))
            canvas = veiled(canvas, haze, (255, 226, 152), 0.5 - 0.1 * depth)
    canvas = mirrored(canvas, horizon, rng, 0.8, 1.9)
    canvas = tinted(canvas, fade((0, 0), (0.72, 0), (0.74, 0.4), (1, 1)), (96, 122, 100))
    canvas = lit(canvas, glitter(rng, 700, 130, horizon + 6, 240), (250, 240, 180), 0.75)
    for side in (-1, 1):
        canvas = _bank(canvas, rng, side)
    canvas = paper_boat(canvas, (640, 664), 64, ((255, 250, 226), (104, 116, 92)), -0.03)
    beams = Image.new("L", SIZE)
    for _ in range(9):
        x, width = rng.uniform(-160, 820), rng.uniform(16, 74)
        beam = polygon(
            [
                (sun[0] + x * 0.25 - 60, -40),
                (sun[0] + x * 0.25 - 60 + width * 0.5, -40),
                (x + width * 2.2, 690),
                (x, 690),
            ],
            9,
        )
        beams = ImageChops.lighter(beams, shaded(beam, partial(mul, rng.uniform(0.25, 0.8))))
    canvas = lit(canvas, ImageChops.multiply(beams, fade((0, 1), (0.5, 0.7), (0.88, 0), (1, 0))), (255, 222, 138), 0.5)
    canvas = lit(canvas, _dust(rng, 130, (200, 60, 1180, 640)), (255, 244, 190), 0.8)
    return finished(canvas, rng, 0.5, 0.75)


def _thresholded(threshold: float, level: float) -> float:
    return (level - threshold) * 9


def _trunks(rng: Random, depth: int, horizon: int) -> Image.Image:
    count, width = (26, 20, 13, 8, 4)[depth], (7, 12, 20, 36, 74)[depth]
    limbs: list[list[Point]] = []
    for i in range(count):
        x = (i + rng.uniform(0.1, 0.9)) * WIDTH / count
        if depth > 1 and abs(x - 740) < 105 * depth:
            x = 740 + (1 if x > 740 else -1) * (105 * depth + rng.uniform(0, 130))
        thick, lean = width * rng.uniform(0.6, 1.2), rng.uniform(-24, 24)
        foot = horizon + 6 * depth + rng.uniform(0, 6)
        left, right = [], []
        for step in range(25):
            y = foot - (foot + 20) * step / 24
            half = thick * (0.46 - 0.12 * step / 24 + 0.75 * 2.72 ** (-step * 0.9)) + rng.gauss(0, thick * 0.02)
            bend = lean * step / 24 + rng.gauss(0, thick * 0.015)
            left.append((x + bend - half, y))
            right.append((x + bend + half, y))
        limbs.append(left + right[::-1])
        for _ in range(depth + 2):
            limbs += _branch(
                rng,
                (x + lean * 0.5, rng.uniform(10, 400)),
                rng.choice((-1, 1)) * width * rng.uniform(1.2, 4),
                thick * 0.13,
            )

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        for limb in limbs:
            pen.polygon([(px * scale, py * scale) for px, py in limb], fill=255)

    return shape(draw, (4 - depth) * 0.5)


def _branch(rng: Random, start: Point, reach: float, thick: float) -> list[list[Point]]:
    """Return a bending branch, and its twigs."""
    limbs, (x, y), rise = [], start, -rng.uniform(0.1, 0.5)
    for step in range(5):
        end = (x + reach / 5, y + rise * abs(reach) / 5)
        taper, next_taper = thick * (1 - step / 5), thick * (0.8 - step / 5) + 0.3
        limbs.append([(x, y - taper), (end[0], end[1] - next_taper), (end[0], end[1] + next_taper), (x, y + taper)])
        if step and thick > 2:
            limbs += _branch(rng, end, reach * rng.uniform(0.1, 0.35), taper * 0.4)
        (x, y), rise = end, rise + rng.uniform(-0.35, 0.2)
    return limbs


def _bank(canvas: Image.Image, rng: Random, side: int) -> Image.Image:
    """Return the canvas with grass on one side of the stream."""
    edge = [(0.0, 590.0), (170.0, 600.0), (330.0, 640.0), (440.0, 700.0), (500.0, 790.0)]

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        outline = [*edge, (0, 790)]
        pen.polygon([((x if side < 0 else WIDTH - x * 0.86) * scale, y * scale) for x, y in outline], fill=255)
        for _ in range(420):
            i = rng.randrange(4)
            share = rng.random()
            x = edge[i][0] + (edge[i + 1][0] - edge[i][0]) * share - rng.uniform(0, 60)
            y = edge[i][1] + (edge[i + 1][1] - edge[i][1]) * share + rng.uniform(-2, 24)
            x = x if side < 0 else WIDTH - x * 0.86
            tip = (x + rng.gauss(0, 14), y - rng.uniform(10, 52))
            pen.polygon(
                [((x - 2.4) * scale, y * scale), ((x + 2.4) * scale, y * scale), (tip[0] * scale, tip[1] * scale)],
                fill=255,
            )

    return veiled(canvas, shape(draw, 0.4), (14, 24, 17))


def _dust(rng: Random, count: int, area: tuple[int, int, int, int]) -> Image.Image:
    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        for _ in range(count):
            x, y, r = rng.uniform(area[0], area[2]), rng.uniform(area[1], area[3]), rng.uniform(0.6, 2.6) ** 1.5
            pen.ellipse(
                [(x - r) * scale, (y - r) * scale, (x + r) * scale, (y + r) * scale], fill=rng.randrange(50, 230)
            )

    return shape(draw, 0.9)
