"""The page that shows a storyboard."""

from io import BytesIO

import pytest
from PIL import Image, ImageFont

from infra.local.demo.contact_sheet import SheetFrame, _lines, contact_sheet


def frame(number: int, caption: str = "A caption", size: tuple[int, int] = (160, 90)) -> SheetFrame:
    out = BytesIO()
    Image.new("RGB", size, (200, 80, 40)).save(out, "WEBP")
    return SheetFrame(number, out.getvalue(), caption, f"{number}s", 1_900_000)


def page(frames: list[SheetFrame], title: str = "Title", subtitle: str = "Subtitle") -> Image.Image:
    return Image.open(BytesIO(contact_sheet(frames, title, subtitle)))


@pytest.mark.parametrize("count", [0, 1, 2, 6, 60, 61, 1_000])
def test_page_stays_readable_with_any_number_of_frames(count: int) -> None:
    sheet = page([frame(n + 1) for n in range(count)])
    assert sheet.format == "PNG"
    assert sheet.width == 1920
    assert sheet.height < 6 * sheet.width


def test_pictures_are_on_the_page() -> None:
    colours = page([frame(n) for n in range(1, 7)]).convert("RGB").resize((192, 120)).getcolors(192 * 120)
    assert colours is not None
    assert sum(count for count, pixel in colours if isinstance(pixel, tuple) and pixel[0] > 150 > pixel[2]) > 5_000


@pytest.mark.parametrize("text", ["x" * 5_000, "word " * 900, "日本語のキャプション 🚀", "\n\t", "", "Füße, Кадр"])
def test_any_text_can_stand_anywhere(text: str) -> None:
    assert page([frame(1, caption=text)], title=text, subtitle=text).size == page([frame(1)]).size


@pytest.mark.parametrize("size", [(90, 160), (1, 400), (400, 1), (100, 100)])
def test_pictures_of_any_shape_fit(size: tuple[int, int]) -> None:
    assert page([frame(1, size=size), frame(2)]).height < 4_000


def test_long_captions_end_in_an_ellipsis_within_their_room() -> None:
    font = ImageFont.load_default(20)
    lines = list(_lines("the quick brown fox jumps over the lazy dog again and again", font, 200, 2))
    assert len(lines) == 2
    assert lines[-1].endswith("…")
    assert all(font.getlength(line) <= 200 for line in lines)
    assert list(_lines("short", font, 200, 2)) == ["short"]
