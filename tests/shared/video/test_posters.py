"""Posters and previews of finished videos."""

from collections.abc import Sequence
from io import BytesIO
from itertools import groupby, pairwise
from pathlib import Path

import pytest
from PIL import Image

from shared.errors import AppError
from shared.video import posters
from shared.video.joining import join
from shared.video.look import Look
from shared.video.posters import poster, preview
from tests.shared.video.media import LOOK, Draw, clip, distance, scene

COLOURS = ("red", "lime", "blue", "yellow", "magenta", "cyan", "orange", "purple", "teal")


def plain(colour: str, look: Look = LOOK) -> Draw:
    return lambda _: Image.new("RGB", (look.width, look.height), colour)


def film(folder: Path, draws: Sequence[Draw], length: int, look: Look = LOOK) -> Path:
    parts = [clip(folder / f"{number}.mp4", length, look, draw=draw) for number, draw in enumerate(draws)]
    join(parts, folder / "film.mp4", fps=look.fps)
    return folder / "film.mp4"


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


def frames(data: bytes) -> list[Image.Image]:
    """Return what is seen at each twelfth of a second; pictures that do not change are stored once."""
    animation = opened(data)
    found = []
    for number in range(getattr(animation, "n_frames", 1)):
        animation.seek(number)
        found += [animation.convert("RGB")] * round(animation.info.get("duration", 83) / 83)
    return found


def named(picture: Image.Image) -> str:
    """Return which of the colours the picture mostly is."""
    return min(COLOURS, key=lambda colour: distance(picture, Image.new("RGB", picture.size, colour)))


def test_a_poster_is_a_jpeg_of_the_videos_size_from_the_middle_of_the_liveliest_shot(tmp_path: Path) -> None:
    scenery = scene(LOOK, 3)
    data = poster(film(tmp_path, [plain("black"), plain("white"), scenery, plain("gray")], 30))
    picture = opened(data)
    assert (picture.format, picture.size) == ("JPEG", (LOOK.width, LOOK.height))
    assert distance(picture.convert("RGB"), scenery(15)) < 6
    assert distance(picture.convert("RGB"), scenery(15)) < distance(picture.convert("RGB"), scenery(5))


def test_of_shots_with_as_much_to_see_the_first_makes_the_poster(tmp_path: Path) -> None:
    picture = opened(poster(film(tmp_path, [scene(LOOK, 1)] * 4, 20))).convert("RGB")
    assert distance(picture, scene(LOOK, 1)(10)) < 6


def test_a_poster_keeps_the_colours(tmp_path: Path) -> None:
    picture = opened(poster(film(tmp_path, [plain("#c81e3c")], 10))).convert("RGB")
    assert distance(picture, Image.new("RGB", picture.size, "#c81e3c")) < 4


@pytest.mark.parametrize("shots", [2, 3, 5, 6, 9])
def test_a_preview_shows_three_seconds_of_moments_from_all_of_the_video(tmp_path: Path, shots: int) -> None:
    data = preview(film(tmp_path, [plain(colour) for colour in COLOURS[:shots]], 120))
    animation = opened(data)
    shown = [named(picture) for picture in frames(data)]
    assert animation.format == "WEBP"
    assert animation.info["loop"] == 0
    assert len(shown) == 36
    assert shown == sorted(shown, key=COLOURS.index)
    count = min(6, shots)
    assert [len(list(piece)) for _, piece in groupby(shown)] == pytest.approx([36 / count] * count, abs=1)
    assert {shown[0], shown[-1]} == {COLOURS[0], COLOURS[shots - 1]}


def test_a_preview_moves_as_fast_as_the_video(tmp_path: Path) -> None:
    """A bar that crosses the frame in four seconds crosses three quarters of it."""
    look = Look(320, 180, 30)

    def bar(index: int) -> Image.Image:
        picture = Image.new("RGB", (look.width, look.height), "navy")
        picture.paste("white", (index * 320 // 120, 0, index * 320 // 120 + 12, 180))
        return picture

    places = [
        picture.convert("L").point(lambda v: 255 * (v > 128)).getbbox()
        for picture in frames(preview(film(tmp_path, [bar], 120)))
    ]
    lefts = [place[0] for place in places if place]
    assert len(lefts) == 36
    assert lefts[-1] - lefts[0] == pytest.approx(320 * 35 / 12 / 4, abs=6)
    steps = [b - a for a, b in pairwise(lefts)]
    assert max(steps) - min(steps) <= 3


@pytest.mark.parametrize(("lengths", "count"), [((24,), 10), ((15, 30), 18), ((3, 120), 36)])
def test_a_video_of_less_than_three_seconds_is_shown_whole(tmp_path: Path, lengths: Sequence[int], count: int) -> None:
    parts = [clip(tmp_path / f"{number}.mp4", length, seed=number) for number, length in enumerate(lengths)]
    join(parts, tmp_path / "film.mp4", fps=LOOK.fps)
    assert len(frames(preview(tmp_path / "film.mp4"))) == count
    assert opened(poster(tmp_path / "film.mp4")).size == (LOOK.width, LOOK.height)


@pytest.mark.parametrize(
    ("size", "small"), [((640, 360), (360, 202)), ((360, 640), (202, 360)), ((200, 200), (200, 200))]
)
def test_a_preview_is_small_and_never_larger_than_the_video(
    tmp_path: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    look = Look(*size, 24)
    assert opened(preview(film(tmp_path, [scene(look)], 12, look))).size == small


def test_a_preview_has_bounded_bytes_whatever_is_in_the_picture(tmp_path: Path) -> None:
    look = Look(480, 480, 24)
    noise = [Image.merge("RGB", [Image.effect_noise((480, 480), 200) for _ in range(3)]) for _ in range(7)]
    data = preview(film(tmp_path, [lambda index: noise[index % 7]], 36, look))
    assert len(data) <= posters._MOST_BYTES
    assert frames(data)


def test_a_video_with_nothing_to_see_has_no_poster(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_bytes(b"once upon a time" * 99)
    for make in (poster, preview):
        with pytest.raises(AppError) as refused:
            make(tmp_path / "text.mp4")
        assert refused.value.code == "not_media"


def test_a_damaged_part_is_passed_over(tmp_path: Path) -> None:
    path = film(tmp_path, [scene(LOOK, number) for number in range(4)], 30)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    path.write_bytes(data)
    assert opened(poster(path)).size == (LOOK.width, LOOK.height)
    assert frames(preview(path))
