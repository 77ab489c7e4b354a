"""Northern lights."""

from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from infra.local.demo.scenes.motifs import paper_boat, starfield
from infra.local.demo.scenes.paint import (
    SIZE,
    WIDTH,
    Point,
    below,
    fade,
    finished,
    glitter,
    glow,
    lit,
    mirrored,
    polygon,
    ridge,
    shaded,
    shape,
    sky,
    tinted,
    veiled,
)


def aurora(rng: Random) -> Image.Image:
    """Return northern lights over a frozen bay."""
    horizon = 560
    canvas = sky((0, (6, 12, 30)), (0.4, (10, 30, 56)), (0.73, (26, 74, 92)), (1, (24, 60, 84)))
    canvas = lit(canvas, starfield(rng, Image.new("L", SIZE, 20)), (220, 236, 255), 0.8)
    for base, height, colour, power in (
        (330, 300, (70, 60, 190), 0.5),
        (392, 330, (40, 220, 170), 0.75),
        (330, 250, (200, 60, 170), 0.36),
        (430, 230, (90, 255, 160), 0.95),
    ):
        canvas = lit(canvas, _curtain(rng, base, height), colour, power)
    canvas = lit(canvas, glow((640, 560), (900, 300), 1.5), (50, 190, 150), 0.36)
    for layer, colour in enumerate(((44, 92, 112), (26, 56, 80), (12, 26, 46))):
        skyline = ridge(rng, 500 + 26 * layer, 110 - 24 * layer, 0.5, 4 + layer)
        mask = polygon(below(skyline))
        canvas = veiled(canvas, mask, colour)
        canvas = lit(canvas, ImageChops.multiply(mask, _gullies(rng, skyline)), (150, 236, 222), 0.5 - 0.1 * layer)
        canvas = veiled(
            canvas, ImageChops.multiply(mask, fade((0, 0), (0.6, 0), (0.74, 0.8), (1, 1))), (60, 130, 132), 0.4
        )
    canvas = mirrored(canvas, horizon, rng, 0.7, 2.4)
    canvas = tinted(canvas, fade((0, 0), (0.728, 0), (0.732, 0.4), (1, 1)), (120, 160, 180))
    canvas = lit(canvas, glitter(rng, 900, 230, horizon, 160), (120, 255, 200), 0.3)
    canvas = paper_boat(canvas, (700, 676), 64, ((232, 255, 240), (60, 112, 124)), -0.02)
    return finished(canvas, rng, 0.6, 0.65)


def _curtain(rng: Random, base: float, height: float) -> Image.Image:
    """Return one fold of light: rays that rise from a wandering hem and fade upwards."""
    rays = Image.frombytes("L", (150, 1), rng.randbytes(150)).resize((WIDTH, 1), Image.Resampling.BICUBIC)
    soft = Image.frombytes("L", (11, 1), rng.randbytes(11)).resize((WIDTH, 1), Image.Resampling.BICUBIC)
    across = ImageChops.multiply(
        shaded(rays, lambda level: 0.35 + level * 0.65), shaded(soft, lambda level: (level - 0.18) * 1.5)
    )
    column = Image.new("L", (1, 256))
    for y in range(256):
        rise = 1 - y / 255
        column.putpixel((0, y), round(255 * min(1.0, (1 - rise) ** 2.3 * min(1.0, rise * 22))))
    flat = ImageChops.multiply(across.resize((WIDTH, 256)), column.resize((WIDTH, 256)))
    hem = ridge(rng, base, 70, 0.34, 3)
    lift = ridge(rng, height, height * 0.3, 0.4, 4)
    mesh = []
    for (x, low), (_, tall) in zip(hem[:-1], lift[:-1], strict=True):
        top, bottom = round(low - tall), round(low)
        if bottom > max(0, top):
            mesh.append(
                (
                    (int(x), max(0, top), int(x) + 4, bottom),
                    (
                        x,
                        256 * (max(0, top) - top) / (bottom - top),
                        x,
                        256,
                        x + 4,
                        256,
                        x + 4,
                        256 * (max(0, top) - top) / (bottom - top),
                    ),
                )
            )
    return flat.transform(SIZE, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR).filter(
        ImageFilter.GaussianBlur(2)
    )


def _gullies(rng: Random, skyline: list[Point]) -> Image.Image:
    """Return a mask of snow that lies in the furrows below a skyline, more of it on the slopes that face right."""

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        for (x, y), (_, ahead) in zip(skyline[:-4], skyline[4:], strict=True):
            slope = (ahead - y) / 16
            for _ in range(2):
                reach = rng.uniform(8, 64) * (1.25 if slope > 0 else 0.6)
                drift = reach * (0.62 if slope > 0 else -0.4) * rng.uniform(0.4, 1.2)
                level = round((150 if slope > 0 else 50) * rng.uniform(0.3, 1))
                foot = ((x + drift) * scale, (y + reach) * scale)
                pen.polygon([(x * scale - 4, y * scale), (x * scale + 5, y * scale), foot], fill=level)

    return shape(draw, 0.8)
