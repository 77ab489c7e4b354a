"""Captions: burned into the picture, or beside it as WebVTT."""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

_FONT: Final = Path(__file__).parent / "fonts" / "NotoSans-SemiBold.ttf"
_NO_CHARACTER: Final = "\U0010ffff"
_ELLIPSIS: Final = "…"
_LINES: Final = 3
_UPRIGHT_LINES: Final = 4
_LONGEST: Final = 400  # characters that are looked at; the lines hold fewer

_SIZES: Final = (0.055, 0.05, 0.045, 0.04)  # of the frame's shorter side: the first at which the text fits
_LEADING: Final = 1.3  # of the size
_WIDEST: Final = 0.82  # of the frame's width
_MARGIN: Final = 0.085  # of the frame's height
_UPRIGHT_MARGIN: Final = 0.18  # phones lay titles and buttons of their players over the rest


class Cue(NamedTuple):
    """A caption and when it shows, in seconds from the start of the video."""

    start: float
    end: float
    text: str


def overlay(text: str, width: int, height: int) -> Image.Image:
    """Return a transparent RGBA frame of this size with the caption in it; fully transparent for a blank text.

    What does not fit into three lines, four in an upright frame, is cut with an ellipsis.
    """
    picture = Image.new("RGBA", (width, height))
    font, lines = _set(_plain(text)[:_LONGEST], width, height)
    if not lines:
        return picture
    leading = font.size * _LEADING
    above = round(leading * (len(lines) + 1))  # with room for the shade
    strip = (width, round(above + leading))
    letters, outlined = Image.new("L", strip), Image.new("L", strip)
    for number, line in enumerate(reversed(lines)):
        place = (width / 2, above - number * leading)
        ImageDraw.Draw(letters).text(place, line, 255, font, anchor="ms")
        ImageDraw.Draw(outlined).text(place, line, 255, font, anchor="ms", stroke_width=font.size * 0.06)
    # White letters on black: where they are partly transparent they are mixed with the shade.
    caption = Image.merge("RGBA", [letters, letters, letters, ImageChops.lighter(letters, _shade(outlined, font.size))])
    base = height * (1 - (_UPRIGHT_MARGIN if height > width else _MARGIN))
    picture.paste(caption, (0, round(base) - above))
    return picture


def can_burn(text: str) -> bool:
    """Tell whether the bundled font has every character of the text; if not, it can only go into a sidecar."""
    return all(map(_is_drawn, set(_plain(text))))


def webvtt(cues: Iterable[Cue]) -> str:
    """Return a WebVTT file with one cue for each text that is not blank."""
    blocks = ["WEBVTT"]
    for cue in cues:
        lines = [line for part in cue.text.splitlines() if (line := " ".join(part.split()))]
        if lines:
            blocks.append(f"{_timestamp(cue.start)} --> {_timestamp(cue.end)}\n{_escaped(chr(10).join(lines))}")
    return "\n\n".join(blocks) + "\n"


def _timestamp(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def _escaped(text: str) -> str:
    """Return cue text in which nothing is markup; `-->` cannot occur, since its `>` is escaped."""
    return text.replace("\0", "\ufffd").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> str:
    """Return the text composed (NFC), on one line, without what has no shape: joiners, direction marks, selectors."""
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(filter(_has_shape, composed)).split())


def _has_shape(character: str) -> bool:
    return unicodedata.category(character) != "Cf" and not "\ufe00" <= character <= "\ufe0f"


@lru_cache(maxsize=4096)
def _is_drawn(character: str) -> bool:
    """Tell whether the font has a shape of its own for this character, rather than the box for missing ones."""
    shape, missing = (_font(32).getmask(one) for one in (character, _NO_CHARACTER))
    return (shape.size, bytes(shape)) != (missing.size, bytes(missing))


@lru_cache(maxsize=16)
def _font(size: float) -> ImageFont.FreeTypeFont:
    # The basic layout needs no library of the system's, so that all machines draw the same; it kerns by `kern` tables.
    return ImageFont.truetype(_FONT, size, layout_engine=ImageFont.Layout.BASIC)


def _set(text: str, width: int, height: int) -> tuple[ImageFont.FreeTypeFont, Sequence[str]]:
    """Return the font, as large as the text allows, and the lines of the text."""
    most = _UPRIGHT_LINES if height > width else _LINES
    for size in _SIZES:
        font = _font(size * min(width, height))
        lines = _balanced(text, font, width * _WIDEST)
        if len(lines) <= most:
            break
    return font, lines if len(lines) <= most else _cut(lines[:most], font, width * _WIDEST)


def _balanced(text: str, font: ImageFont.FreeTypeFont, widest: float) -> Sequence[str]:
    """Return as few lines as can be, of about equal widths."""
    words = [
        (piece, font.getlength(piece), font.getlength(" "))
        for word in text.split()
        for piece in _pieces(word, font, widest)
    ]
    lines, narrowest = _wrapped(words, widest), widest / 2
    while widest - narrowest > font.size / 8:
        middle = (widest + narrowest) / 2
        tried = _wrapped(words, middle)
        if len(tried) > len(lines):
            narrowest = middle
        else:
            widest, lines = middle, tried
    return lines


def _pieces(word: str, font: ImageFont.FreeTypeFont, widest: float) -> Iterable[str]:
    """Yield the word, in pieces where it is wider than a line."""
    while font.getlength(word) > widest and len(word) > 1:
        fitting = max(1, bisect_right(range(1, len(word)), widest, key=lambda end: font.getlength(word[:end])))
        yield word[:fitting]
        word = word[fitting:]
    yield word


def _wrapped(words: Iterable[tuple[str, float, float]], widest: float) -> list[str]:
    """Return the lines of words that are given with their widths and that of a space."""
    lines: list[str] = []
    room = 0.0
    for word, width, space in words:
        if lines and width + space <= room:
            lines[-1] += f" {word}"
            room -= width + space
        else:
            lines.append(word)
            room = widest - width
    return lines


def _cut(lines: Sequence[str], font: ImageFont.FreeTypeFont, widest: float) -> Sequence[str]:
    """Return the lines, the last of them ending in an ellipsis."""
    last = lines[-1]
    while font.getlength(last + _ELLIPSIS) > widest:
        last = last.rpartition(" ")[0] or last[:-1]
    return [*lines[:-1], last.rstrip(" ,;:.–—-") + _ELLIPSIS]


def _shade(outlined: Image.Image, size: float) -> Image.Image:
    """Return how dark it is around the letters: a thin edge, and a soft shadow that reaches into the next line."""
    edge = outlined.filter(ImageFilter.GaussianBlur(size * 0.03))
    shadow = outlined.filter(ImageFilter.GaussianBlur(size * 0.3))
    return ImageChops.lighter(edge.point(lambda a: a * 0.75), shadow.point(lambda a: min(a * 1.1, 150)))
