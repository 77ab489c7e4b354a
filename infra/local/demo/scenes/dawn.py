"""A mountain lake at dawn."""

from random import Random

from PIL import Image, ImageChops, ImageDraw

from infra.local.demo.scenes.motifs import paper_boat
from infra.local.demo.scenes.paint import (
    below,
    clouds,
    conifer,
    fade,
    finished,
    glitter,
    glow,
    lit,
    mirrored,
    mix,
    polygon,
    ridge,
    shaded,
    shape,
    sky,
    tinted,
    veiled,
)


def dawn(rng: Random) -> Image.Image:
    """Return misty mountains above a lake, the sun just over the ridge."""
    sun, horizon = (860.0, 372.0), 612
    canvas = sky(
        (0, (38, 52, 98)), (0.22, (104, 96, 142)), (0.38, (214, 138, 136)), (0.5, (255, 196, 140)), (1, (255, 226, 178))
    )
    streaks = shaded(clouds(rng, 3, 14), lambda level: (level - 0.5) * 3.2)
    canvas = veiled(
        canvas, ImageChops.multiply(streaks, fade((0, 0.2), (0.3, 1), (0.5, 0.1), (1, 0))), (255, 176, 150), 0.62
    )
    canvas = lit(canvas, glow(sun, (760, 470), 2.4), (255, 168, 92), 0.75)
    canvas = lit(canvas, glow(sun, (150, 150), 3), (255, 236, 190))
    canvas = lit(
        canvas,
        shape(
            lambda d, s: d.ellipse(
                [(sun[0] - 31) * s, (sun[1] - 31) * s, (sun[0] + 31) * s, (sun[1] + 31) * s], fill=255
            ),
            1.2,
        ),
        (255, 250, 226),
    )
    far, near = (226, 160, 142), (26, 40, 58)
    for layer in range(6):
        share = layer / 5
        skyline = ridge(rng, 360 + 44 * layer, 88 - 9 * layer, 0.47, 3 + layer)
        mask = polygon(below(skyline))
        canvas = veiled(canvas, mask, mix(far, near, share**0.8))
        mist = ImageChops.multiply(mask, fade((0, 0), (0.42 + 0.055 * layer, 0), (0.56 + 0.06 * layer, 1), (1, 1)))
        canvas = veiled(
            canvas,
            ImageChops.multiply(mist, shaded(clouds(rng, 4, 5, 4), lambda level: 0.25 + level)),
            mix((255, 206, 168), (150, 148, 170), share),
            0.62,
        )
    canvas = lit(canvas, glow(sun, (560, 300), 2.2), (255, 150, 80), 0.42)
    shore = [(x, y - 26 * (abs(x - 740) / 740) ** 2 + 12) for x, y in ridge(rng, 604, 5, 0.5, 9)]
    canvas = veiled(canvas, polygon(below(shore)), (18, 28, 42))
    canvas = veiled(canvas, _spruces(rng, 606), (16, 26, 38))
    canvas = veiled(canvas, _birds(rng), (58, 48, 78))
    canvas = mirrored(canvas, horizon, rng, 0.9, 2.6)
    canvas = tinted(canvas, fade((0, 0), (0.79, 0), (0.8, 0.2), (1, 1)), (116, 112, 150))
    canvas = veiled(
        canvas,
        shaded(
            ImageChops.multiply(clouds(rng, 3, 16), fade((0, 0), (0.76, 0), (0.8, 1), (0.86, 0.1), (1, 0))),
            lambda level: level * 1.6 - 0.3,
        ),
        (255, 214, 184),
        0.8,
    )
    canvas = lit(canvas, glow((sun[0], 690), (230, 120), 1.6), (255, 150, 84), 0.55)
    canvas = lit(canvas, glitter(rng, sun[0], 74, horizon, 300), (255, 206, 150), 0.9)
    canvas = paper_boat(canvas, (452, 690), 56, ((255, 238, 214), (96, 92, 122)), 0.03)
    return finished(canvas, rng, 0.42, 0.55)


def _birds(rng: Random) -> Image.Image:
    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        for i in range(7):
            x, y = 560 + 24 * i + rng.uniform(-9, 9), 214 + 11 * abs(i - 3) + rng.uniform(-6, 6)
            span = rng.uniform(6, 9)
            wing = rng.uniform(0.2, 0.6) * span
            for side in (-1, 1):
                joints = ((0, 0), (side * span * 0.5, -wing), (side * span, -wing * 0.5))
                pen.line([((x + dx) * scale, (y + dy) * scale) for dx, dy in joints], fill=235, width=3)

    return shape(draw, 0.3)


def _spruces(rng: Random, base: float) -> Image.Image:
    """Return a mask of spruces on both shores, which rise towards the edges."""
    trees = []
    for _ in range(90):
        x = rng.choice((440 - 470 * rng.random() ** 0.7, 1040 + 330 * rng.random() ** 0.7))
        edge = abs(x - 740) / 740
        trees.append(conifer((x, base - 26 * edge**2 + rng.uniform(4, 14)), rng.uniform(30, 84) * (0.3 + edge), rng))

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        for tree in trees:
            pen.polygon([(x * scale, y * scale) for x, y in tree], fill=255)

    return shape(draw)
