"""Brushes for painted landscapes, with Pillow alone: skies, ridges, light, water, film grain. All are deterministic."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import pi, sin
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

WIDTH, HEIGHT = SIZE = (1344, 768)

Colour = tuple[int, int, int]
Point = tuple[float, float]


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return the colour at `share` of the way from one to the other."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def sky(*stops: tuple[float, Colour]) -> Image.Image:
    """Return a canvas shaded from top to bottom through colours at heights of 0 to 1."""
    column = Image.new("RGB", (1, HEIGHT))
    for (top, upper), (bottom, lower) in pairwise(stops):
        for y in range(round(top * HEIGHT), min(HEIGHT, round(bottom * HEIGHT) + 1)):
            share = min(1.0, max(0.0, (y / HEIGHT - top) / (bottom - top)))
            column.putpixel((0, y), mix(upper, lower, share * share * (3 - 2 * share)))
    return column.resize(SIZE)


def shaded(mask: Image.Image, curve: Callable[[float], float]) -> Image.Image:
    """Return a mask with its levels, as 0 to 1, put through a curve."""
    return mask.point([round(255 * min(1.0, max(0.0, curve(level / 255)))) for level in range(256)])


def clouds(rng: Random, across: float, down: float, octaves: int = 5) -> Image.Image:
    """Return fractal noise whose largest lumps are 1/across of the width and 1/down of the height."""
    total: Image.Image | None = None
    for octave in range(octaves):
        cells = (max(2, round(across * 2**octave)), max(2, round(down * 2**octave)))
        seeds = Image.frombytes("L", cells, rng.randbytes(cells[0] * cells[1]))
        layer = seeds.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BICUBIC)
        total = layer if total is None else Image.blend(total, layer, 0.5 ** (octave + 0.4))
    assert total is not None
    return total.resize(SIZE, Image.Resampling.BICUBIC)


def fade(*stops: tuple[float, float]) -> Image.Image:
    """Return a mask that varies from top to bottom: heights and strengths of 0 to 1."""
    return sky(*((at, (round(255 * level),) * 3) for at, level in stops)).getchannel(0)


def glow(centre: Point, radius: Point, power: float = 2.0) -> Image.Image:
    """Return a mask of light that falls off around a point; radius in pixels."""
    width, height = (max(2, round(2 * side)) for side in radius)
    falloff = shaded(Image.radial_gradient("L"), lambda level: max(0.0, 1 - level * 1.42) ** power)
    mask = Image.new("L", SIZE)
    mask.paste(
        falloff.resize((width, height), Image.Resampling.BICUBIC),
        (round(centre[0] - radius[0]), round(centre[1] - radius[1])),
    )
    return mask


def band(height: float, half_width: float, degrees: float, power: float = 2.0) -> Image.Image:
    """Return a mask of a straight soft band through the middle of the canvas, at a height, turned."""
    side = 2 * HEIGHT
    column = Image.new("L", (1, side))
    for y in range(side):
        column.putpixel((0, y), round(255 * max(0.0, 1 - abs(y - HEIGHT) / half_width) ** power))
    square = column.resize((side, side)).rotate(degrees, Image.Resampling.BILINEAR)
    left, top = (side - WIDTH) // 2, HEIGHT - round(height)
    return square.crop((left, top, left + WIDTH, top + HEIGHT))


def lit(canvas: Image.Image, mask: Image.Image, colour: Colour, strength: float = 1.0) -> Image.Image:
    """Return the canvas with coloured light added where the mask is bright."""
    box = mask.getbbox()
    if box is None:
        return canvas
    part = mask.crop(box)
    tints = [part.point([round(level * tint / 255 * strength) for level in range(256)]) for tint in colour]
    painted = canvas.copy()
    painted.paste(ImageChops.screen(canvas.crop(box), Image.merge("RGB", tints)), box)
    return painted


def veiled(canvas: Image.Image, mask: Image.Image, colour: Colour, strength: float = 1.0) -> Image.Image:
    """Return the canvas covered by a colour where the mask is bright."""
    box = mask.getbbox()
    if box is None:
        return canvas
    painted = canvas.copy()
    painted.paste(colour, box, shaded(mask.crop(box), lambda level: level * strength))
    return painted


def tinted(canvas: Image.Image, mask: Image.Image, colour: Colour) -> Image.Image:
    """Return the canvas as through coloured glass where the mask is bright."""
    return Image.composite(ImageChops.multiply(canvas, Image.new("RGB", SIZE, colour)), canvas, mask)


def shape(draw: Callable[[ImageDraw.ImageDraw, int], None], blur: float = 0.0) -> Image.Image:
    """Return a smooth-edged mask of what is drawn in white, at the scale that the drawer is given."""
    mask = Image.new("L", (2 * WIDTH, 2 * HEIGHT))
    draw(ImageDraw.Draw(mask), 2)
    mask = mask.reduce(2)
    return mask.filter(ImageFilter.GaussianBlur(blur)) if blur else mask


def polygon(points: Sequence[Point], blur: float = 0.0) -> Image.Image:
    """Return a smooth-edged mask of one polygon."""
    margin = 2 + round(3 * blur)
    xs, ys = zip(*points, strict=True)
    left, top = max(0, int(min(xs)) - margin), max(0, int(min(ys)) - margin)
    right, bottom = min(WIDTH, int(max(xs)) + margin), min(HEIGHT, int(max(ys)) + margin)
    mask = Image.new("L", SIZE)
    if right > left and bottom > top:
        patch = Image.new("L", (2 * (right - left), 2 * (bottom - top)))
        ImageDraw.Draw(patch).polygon([(2 * (x - left), 2 * (y - top)) for x, y in points], fill=255)
        patch = patch.reduce(2)
        mask.paste(patch.filter(ImageFilter.GaussianBlur(blur)) if blur else patch, (left, top))
    return mask


def ridge(rng: Random, base: float, rise: float, roughness: float = 0.52, bends: int = 5) -> list[Point]:
    """Return the skyline of a mountain range, from the left to the right edge; base and rise in pixels."""
    heights = [0.0] * (WIDTH // 4 + 1)
    for octave in range(8):
        count = bends * 2**octave
        knots = [rng.uniform(-1, 1) for _ in range(count + 2)]
        for i in range(len(heights)):
            at = i / len(heights) * count
            share = at - int(at)
            share = share if octave > 1 else (1 - _cosine(share)) / 2
            heights[i] += roughness**octave * (knots[int(at)] * (1 - share) + knots[int(at) + 1] * share)
    return [(4.0 * i, base - rise * height) for i, height in enumerate(heights)]


def _cosine(share: float) -> float:
    return sin(pi * (0.5 - share))


def below(skyline: Sequence[Point]) -> list[Point]:
    """Return the polygon of all that lies under a skyline."""
    return [*skyline, (WIDTH + 8, HEIGHT), (0, HEIGHT)]


def conifer(foot: Point, height: float, rng: Random) -> list[Point]:
    """Return the outline of a spruce."""
    x, y = foot
    left, right = [], []
    tiers = 9
    for tier in range(tiers):
        level = y - height * (1 - tier / tiers)
        reach = height * 0.2 * (tier + 0.6) / tiers
        left += [
            (x - reach * rng.uniform(0.85, 1.25), level + height * 0.05),
            (x - reach * 0.45, level + height * 0.045),
        ]
        right += [
            (x + reach * rng.uniform(0.85, 1.25), level + height * 0.05),
            (x + reach * 0.45, level + height * 0.045),
        ]
    return [(x, y - height), *right, (x, y + 4), *reversed(left)]


def mirrored(canvas: Image.Image, horizon: int, rng: Random, ripple: float = 1.0, depth: float = 1.0) -> Image.Image:
    """Return the canvas with still water from the horizon down, in which all that is above it is mirrored."""
    water = HEIGHT - horizon
    taken = min(horizon, round(water * depth))
    image = canvas.crop((0, horizon - taken, WIDTH, horizon)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    margin = 60
    image = image.resize((WIDTH + 2 * margin, water), Image.Resampling.BILINEAR)
    mesh, y = [], 0
    while y < water:
        rows = 1 + round(5 * y / water)
        reach = ripple * (1 + 13 * y / water)
        shift = max(-margin, min(margin, rng.gauss(0, reach))) + margin
        top = max(0.0, min(water - rows - 1.0, y + rng.gauss(0, reach * 0.5)))
        bottom = top + rows
        mesh.append(
            (
                (0, y, WIDTH, min(water, y + rows)),
                (shift, top, shift, bottom, WIDTH + shift, bottom, WIDTH + shift, top),
            )
        )
        y += rows
    rippled = image.transform((WIDTH, water), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    still = image.crop((margin, 0, margin + WIDTH, water))
    rippled = Image.blend(still, rippled, 0.82).filter(ImageFilter.BoxBlur((2.2, 0.8)))
    painted = canvas.copy()
    painted.paste(rippled, (0, horizon))
    return painted


def glitter(rng: Random, centre: float, spread: float, horizon: int, count: int) -> Image.Image:
    """Return a mask of short glints on water, denser and finer towards the horizon."""

    def draw(canvas: ImageDraw.ImageDraw, scale: int) -> None:
        for _ in range(count):
            depth = rng.random() ** 2.2
            y = horizon + 2 + depth * (HEIGHT - horizon)
            x = centre + rng.gauss(0, spread * (0.35 + depth))
            length = 3 + 26 * depth * rng.random()
            level = round(255 * (0.25 + 0.75 * rng.random()) * (1 - depth * 0.5))
            canvas.line(
                [((x - length) * scale, y * scale), ((x + length) * scale, y * scale)],
                fill=level,
                width=1 + round(2.4 * depth),
            )

    return shape(draw, 0.6)


def finished(
    canvas: Image.Image, rng: Random, bloom: float = 0.5, vignette: float = 0.5, grain: float = 0.024
) -> Image.Image:
    """Return the painting as a film camera would see it: bloom around lights, darker corners, grain."""
    small = canvas.reduce(8)
    bright = ImageChops.multiply(small, small).filter(ImageFilter.GaussianBlur(7))
    canvas = ImageChops.screen(canvas, bright.resize(SIZE, Image.Resampling.BICUBIC).point(lambda v: v * bloom))
    corners = shaded(
        Image.radial_gradient("L").resize(SIZE), lambda level: 1 - vignette * max(0.0, level - 0.25) ** 1.6
    )
    canvas = ImageChops.multiply(canvas, Image.merge("RGB", [corners] * 3))
    one, other = (Image.frombytes("L", SIZE, rng.randbytes(WIDTH * HEIGHT)) for _ in range(2))
    film = Image.blend(one, other, 0.5)
    film = film.filter(ImageFilter.GaussianBlur(0.4)).point(
        [round(128 + (level - 128) * grain * 3) for level in range(256)]
    )
    return ImageChops.add(canvas, Image.merge("RGB", [film] * 3), offset=-128)
