"""Captions: legible where they are burned, and valid where they lie beside."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from shared.video.captions import Cue, can_burn, overlay, webvtt

WIDE, UPRIGHT, SQUARE = (1280, 720), (720, 1280), (1080, 1080)
SHORT = "A paper boat sets out at dawn"
LONG = "The keeper's daughter watches as the waves wash over the rocks, and the lamp turns and turns again " * 4


def white(caption: Image.Image) -> Image.Image:
    """Return a mask of the letters."""
    return caption.getchannel("R").point(lambda value: 255 * (value > 200))


def lines(caption: Image.Image) -> list[int]:
    """Return the width of each line of text, from above."""
    mask, widths, inside = white(caption), list[int](), False
    for y in range(mask.height):
        row = mask.crop((0, y, mask.width, y + 1)).getbbox()
        if row and not inside:
            widths.append(0)
        if row:
            widths[-1] = max(widths[-1], row[2] - row[0])
        inside = row is not None
    return [width for width in widths if width > mask.width / 10]  # else a row of dots and accents only


@pytest.mark.parametrize("size", [WIDE, UPRIGHT, SQUARE, (854, 480), (1920, 1080)])
@pytest.mark.parametrize("text", [SHORT, LONG, "x" * 300])
def test_a_caption_stays_within_safe_margins(size: tuple[int, int], text: str) -> None:
    width, height = size
    caption = overlay(text, width, height)
    assert (caption.size, caption.mode) == (size, "RGBA")
    left, top, right, bottom = white(caption).getbbox() or (0, 0, 0, 0)
    assert left > 0.07 * width
    assert right < 0.93 * width
    assert top > height / 2
    assert bottom < (0.86 if height > width else 0.95) * height
    assert abs((left + right) / 2 - width / 2) < 0.02 * width


@pytest.mark.parametrize("text", ["", "  \n\t ", "\u200b\u2060"])
def test_a_blank_text_leaves_the_picture_alone(text: str) -> None:
    assert overlay(text, *WIDE).getchannel("A").getbbox() is None


@pytest.mark.parametrize("ground", ["white", "black", "gold", "noise"])
def test_a_caption_stands_out_from_any_picture(ground: str) -> None:
    noise = Image.effect_noise(WIDE, 120).convert("RGB")
    picture = noise if ground == "noise" else Image.new("RGB", WIDE, ground)
    caption = overlay(SHORT, *WIDE)
    picture.paste(caption, mask=caption)
    letters = white(caption)
    edge = ImageChops.subtract(caption.getchannel("A").point(lambda value: 255 * (value > 140)), letters)
    bright, dark = (ImageStat.Stat(picture.convert("L"), mask).mean[0] for mask in (letters, edge))
    luminance = [(value / 255) ** 2.2 for value in (bright, dark)]
    assert (luminance[0] + 0.05) / (luminance[1] + 0.05) > 3  # what WCAG asks of large text


@pytest.mark.parametrize(("size", "most"), [(WIDE, 3), (SQUARE, 3), (UPRIGHT, 4)])
def test_a_long_text_is_wrapped_into_few_lines_and_then_cut(size: tuple[int, int], most: int) -> None:
    assert len(lines(overlay(LONG, *size))) == most
    assert len(lines(overlay("word " * 10_000, *size))) == most


def test_lines_are_about_equally_wide() -> None:
    widths = lines(overlay("The lighthouse keeper watches how the storm rolls in over the sea", *WIDE))
    assert len(widths) == 2
    assert min(widths) > 0.8 * max(widths)


def test_letters_grow_with_the_frame() -> None:
    heights = []
    for width, height in ((640, 360), (1280, 720)):
        _, top, _, bottom = white(overlay("HHH", width, height)).getbbox() or (0, 0, 0, 0)
        heights.append(bottom - top)
    assert heights[1] == pytest.approx(2 * heights[0], abs=2)


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, naïve façade, Łódź, Øresund, İstanbul, Țară",
        "Tiếng Việt có dấu",
        "Η βάρκα ταξιδεύει — Ὁ ἄνεμος",
        "Бумажный кораблик, Їжак, ґанок, Қазақстан",
        "“Quotes”, – dashes … № 5 € 7 ₽ ½ ©️ ™",
        "e\u0301 decomposed, and \u200eleft-to-right\u200e, and soft\u00adhyphens",
        "",
    ],
)
def test_latin_greek_and_cyrillic_can_be_burned(text: str) -> None:
    assert can_burn(text)


@pytest.mark.parametrize(
    "text", ["日本語", "مرحبا", "שלום", "नमस्ते", "ไทย", "한국어", "a 😀", "❤️", "q\u0301", "\U0010ffff"]
)
def test_what_the_font_lacks_cannot_be_burned(text: str) -> None:
    assert not can_burn(text)


@given(st.text(max_size=300))
def test_any_text_makes_an_overlay(text: str) -> None:
    can_burn(text)
    assert overlay(text, 320, 180).size == (320, 180)


def parsed(file: str) -> list[tuple[float, float, str]]:
    """Read WebVTT as its specification says: blocks between blank lines, the arrow in the line of timings."""
    head, *blocks = re.split(r"\n{2,}", file.removesuffix("\n"))
    assert head == "WEBVTT"
    cues = []
    for block in blocks:
        timings, *text = re.split(r"\r\n|\n|\r", block)
        found = re.fullmatch(r"(\d{2,}):(\d\d):(\d\d\.\d{3}) --> (\d{2,}):(\d\d):(\d\d\.\d{3})", timings)
        assert found, timings
        hours, minutes, seconds, *end = map(float, found.groups())
        assert minutes < 60 > seconds
        payload = "\n".join(text)
        assert payload
        assert "-->" not in payload
        assert "<" not in payload
        assert ">" not in payload
        assert re.fullmatch(r"(?:[^&]|&(?:amp|lt|gt);)*", payload)
        cues.append(
            (hours * 3600 + minutes * 60 + seconds, end[0] * 3600 + end[1] * 60 + end[2], html.unescape(payload))
        )
    return cues


def test_webvtt_has_a_cue_for_each_clip_with_a_text() -> None:
    cues = [
        Cue(0, 4.04, "At dawn"),
        Cue(4.04, 7.5, "  "),
        Cue(7.5, 3599.9996, "a <b>\n\n--> & c"),
        Cue(3600, 36_000.5, "é"),
    ]
    assert webvtt(cues) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:04.040\nAt dawn\n\n"
        "00:00:07.500 --> 01:00:00.000\na &lt;b&gt;\n--&gt; &amp; c\n\n"
        "01:00:00.000 --> 10:00:00.500\né\n"
    )


def test_webvtt_of_nothing_is_a_valid_file() -> None:
    assert webvtt([]) == "WEBVTT\n"


@given(st.lists(st.text(max_size=60), max_size=6))
def test_any_text_comes_back_from_webvtt(texts: list[str]) -> None:
    cues = [Cue(index, index + 1, text) for index, text in enumerate(texts)]
    file = webvtt(cues)
    file.encode()
    expected = [
        (cue.start, cue.end, "\n".join(line for part in cue.text.splitlines() if (line := " ".join(part.split()))))
        for cue in cues
        if cue.text.split()
    ]
    assert parsed(file) == [(start, end, text.replace("\0", "\ufffd")) for start, end, text in expected]
