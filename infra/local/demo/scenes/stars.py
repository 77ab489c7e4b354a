"""The open sea under the Milky Way."""

from random import Random

from PIL import Image, ImageChops

from infra.local.demo.scenes.motifs import paper_boat, starfield
from infra.local.demo.scenes.paint import (
    band,
    below,
    clouds,
    fade,
    finished,
    glitter,
    glow,
    lit,
    mirrored,
    polygon,
    ridge,
    shaded,
    sky,
    tinted,
    veiled,
)


def stars(rng: Random) -> Image.Image:
    """Return the open sea under the Milky Way, a light in the boat."""
    horizon = 500
    canvas = sky(
        (0, (6, 9, 26)), (0.35, (12, 22, 54)), (0.58, (30, 58, 96)), (0.655, (92, 124, 140)), (1, (90, 120, 140))
    )
    veil = band(235, 250, 24, 1.5)
    dust = clouds(rng, 5, 4, 6)
    milky = ImageChops.multiply(veil, shaded(dust, lambda level: 0.25 + (level - 0.35) * 2.2))
    lane = band(250, 74, 23, 1)
    canvas = lit(canvas, milky, (150, 140, 196), 0.72)
    canvas = lit(
        canvas,
        ImageChops.multiply(milky, shaded(clouds(rng, 4, 3, 5), lambda level: (level - 0.4) * 3)),
        (255, 150, 140),
        0.4,
    )
    canvas = veiled(
        canvas,
        ImageChops.multiply(lane, shaded(clouds(rng, 8, 7, 6), lambda level: (level - 0.45) * 5)),
        (16, 16, 38),
        0.62,
    )
    canvas = lit(canvas, starfield(rng, milky), (236, 240, 255))
    canvas = lit(canvas, glow((880, 512), (760, 90), 1.4), (150, 190, 190), 0.5)
    for layer, colour in enumerate(((52, 84, 112), (26, 46, 74))):
        isles = polygon(below(ridge(rng, 512 + 3 * layer, 30 - 8 * layer, 0.5, 3 + layer)), 0.4)
        canvas = veiled(canvas, isles, colour)
    canvas = mirrored(canvas, horizon, rng, 1.1, 1.7)
    canvas = tinted(canvas, fade((0, 0), (0.65, 0), (0.655, 0.4), (1, 1)), (112, 128, 170))
    swell = shaded(clouds(rng, 4, 40, 4), lambda level: (level - 0.5) * 5)
    canvas = veiled(canvas, ImageChops.multiply(swell, fade((0, 0), (0.652, 0), (0.7, 0.5), (1, 1))), (8, 14, 34), 0.5)
    boat = (806.0, 636.0)
    canvas = lit(canvas, glow((boat[0], boat[1] + 16), (430, 84), 2.4), (255, 156, 74), 0.75)
    canvas = lit(
        canvas, ImageChops.multiply(glitter(rng, boat[0], 34, 640, 150), glow(boat, (260, 150), 1)), (255, 196, 120), 1
    )
    canvas = paper_boat(canvas, boat, 70, ((255, 214, 150), (150, 82, 62)), 0.04)
    canvas = lit(canvas, glow((boat[0], boat[1] - 28), (230, 190), 2.6), (255, 170, 84), 0.7)
    canvas = lit(canvas, glow((boat[0] + 2, boat[1] - 22), (46, 40), 2), (255, 236, 190), 0.9)
    return finished(canvas, rng, 0.7, 0.65)
