"""A storyboard on one page: every frame as it was served, with number, time, caption and what storing it saved."""

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Final

from PIL import Image, ImageDraw, ImageFont

# A page of more frames would show none of them.
MAX_FRAMES: Final = 60

_WIDTH: Final = 1920
_MARGIN: Final = 88
_GAP: Final = 36
_HEADER: Final = 196
_FOOTER: Final = 64
_PAPER: Final = (17, 18, 22)
_CELL: Final = (27, 29, 35)
_INK: Final = (240, 238, 232)
_MUTED: Final = (150, 152, 160)
_ACCENT: Final = (232, 178, 110)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class SheetFrame:
    """A frame to show: the image file as it was served, and the size in bytes of what was uploaded for it."""

    number: int
    image: bytes
    caption: str
    timestamp: str
    original_bytes: int


@dataclass(frozen=True, slots=True)
class _Type:
    """How a text is set: size and room across in pixels, colour, and how many lines it may have."""

    size: int
    ink: tuple[int, int, int]
    room: int
    lines: int = 1


def contact_sheet(frames: Sequence[SheetFrame], title: str, subtitle: str) -> bytes:
    """Return a PNG of the frames in a grid; of more than 60, the first 60, with a line about the rest."""
    shown = frames[:MAX_FRAMES]
    columns = _columns(len(shown))
    cell = (_WIDTH - 2 * _MARGIN - _GAP * (columns - 1)) // columns
    type_size = max(15, min(24, cell // 22))
    box = (cell, _picture_height(shown, cell))
    row = box[1] + round(type_size * 6.6)
    height = _HEADER + row * ceil(len(shown) / columns) + _FOOTER
    sheet = Image.new("RGB", (_WIDTH, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _write(pen, (_MARGIN, 62), title, _Type(52, _INK, _WIDTH - 2 * _MARGIN))
    _write(pen, (_MARGIN, 130), subtitle, _Type(23, _MUTED, _WIDTH - 2 * _MARGIN))
    for place, frame in enumerate(shown):
        corner = (_MARGIN + place % columns * (cell + _GAP), _HEADER + place // columns * row)
        _draw_frame(sheet, frame, corner, box, type_size)
    if len(frames) > len(shown):
        rest = f"and {len(frames) - len(shown):,} more frames"
        _write(pen, (_MARGIN, height - _FOOTER), rest, _Type(23, _MUTED, _WIDTH - 2 * _MARGIN))
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def _columns(count: int) -> int:
    return next(columns for most, columns in ((1, 1), (4, 2), (12, 3), (24, 4), (MAX_FRAMES, 6)) if count <= most)


def _picture_height(frames: Sequence[SheetFrame], width: int) -> int:
    """Return the height of all pictures: as the first one is, between half the width and the width."""
    if not frames:
        return width // 2
    with Image.open(io.BytesIO(frames[0].image)) as first:
        return min(width, max(width // 2, round(width * first.height / first.width)))


def _draw_frame(
    sheet: Image.Image, frame: SheetFrame, corner: tuple[int, int], box: tuple[int, int], type_size: int
) -> None:
    pen = ImageDraw.Draw(sheet)
    left, top = corner
    cell = box[0]
    picture, size = _framed(frame.image, box)
    sheet.paste(picture, corner, _rounded(picture.size))
    y = top + picture.height + round(type_size * 0.75)
    end = _write(pen, (left, y), f"{frame.number:02d}", _Type(type_size, _ACCENT, cell))
    small = _Type(type_size - 2, _MUTED, cell)
    before = f"{size[0]} x {size[1]} · {_readable(frame.original_bytes)}"
    after = _readable(len(frame.image))
    arrow = type_size
    width = sum(_font(small.size).getlength(text) for text in (before, after)) + 2 * arrow
    start = left + cell - round(width)
    _write(pen, (end + type_size // 2, y), frame.timestamp, _Type(type_size, _MUTED, start - end - type_size))
    end = _write(pen, (start, y + 1), before, small)
    _arrow(pen, (end + arrow // 2, y + round(small.size * 0.66)), arrow)
    _write(pen, (end + 2 * arrow, y + 1), after, small)
    y += round(type_size * 1.5)
    _write(pen, (left, y), frame.caption, _Type(type_size, _INK, cell, lines=2))


def _arrow(pen: ImageDraw.ImageDraw, at: tuple[int, int], length: int) -> None:
    x, y = at
    head = length // 4
    pen.line([(x, y), (x + length, y)], _MUTED, 2)
    pen.line([(x + length - head, y - head), (x + length, y), (x + length - head, y + head)], _MUTED, 2)


def _framed(image: bytes, box: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    """Return the picture, whole and centred in a box, and its own size."""
    with Image.open(io.BytesIO(image)) as file:
        scale = min(box[0] / file.width, box[1] / file.height)
        fitting = (max(1, round(file.width * scale)), max(1, round(file.height * scale)))
        scaled = file.convert("RGBA").resize(fitting, Image.Resampling.LANCZOS)
        framed = Image.new("RGB", box, _CELL)
        framed.paste(scaled, ((box[0] - fitting[0]) // 2, (box[1] - fitting[1]) // 2), scaled)
        return framed, file.size


@cache
def _rounded(size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", (size[0] * 4, size[1] * 4))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] * 4 - 1, size[1] * 4 - 1), radius=40, fill=255)
    return mask.reduce(4)


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


@cache
def _wider_font(size: int) -> Font:
    """Return a font of this machine with more letters than Pillow's own, which has those of English."""
    for name in ("Arial Unicode.ttf", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial.ttf"):
        with suppress(OSError):
            return ImageFont.truetype(name, round(size * 0.92))
    return _font(size)


def _write(pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, style: _Type) -> int:
    """Write the text, elided to its room, and return where it ends."""
    text = _plain(text)
    font = _font(style.size)
    if not all(_has_glyph(font, character) for character in text):
        font = _wider_font(style.size)
        text = "".join(character if _has_glyph(font, character) else "·" for character in text)
    end = x, y = at
    for line in _lines(text, font, style.room, style.lines):
        pen.text((x, y), line, style.ink, font)
        end = max(end, (x + round(font.getlength(line)), y))
        y += round(style.size * 1.45)
    return end[0]


def _lines(text: str, font: Font, room: int, most: int) -> Iterator[str]:
    """Yield the text in lines that fit, the last one elided where more would follow."""
    words = text.split()
    for number in range(1, most + 1):
        if not words:
            return
        count = 1
        while count < len(words) and font.getlength(" ".join(words[: count + 1])) <= room:
            count += 1
        line, words = " ".join(words[:count]), words[count:]
        cut = bool(words) and number == most
        if font.getlength(line + "…" * cut) > room:
            line, cut = _longest_start(line, font, room), True
        yield line.rstrip(" ,.;:") + "…" if cut else line


def _longest_start(line: str, font: Font, room: int) -> str:
    """Return as much of the line as fits with an ellipsis behind it."""
    fits, over = 0, len(line)
    while over - fits > 1:
        middle = (fits + over) // 2
        if font.getlength(line[:middle] + "…") <= room:
            fits = middle
        else:
            over = middle
    return line[:fits]


def _plain(text: str) -> str:
    return text.translate({ord("–"): "-", ord("—"): "-", ord("−"): "-", ord("×"): "x", ord("→"): "»"})


@cache
def _has_glyph(font: Font, character: str) -> bool:
    return character.isspace() or bytes(font.getmask(character)) != bytes(font.getmask("\U0010fffd"))


def _readable(size: int) -> str:
    if size < 1_000:
        return f"{size} B"
    return f"{size / 1_000:.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"
