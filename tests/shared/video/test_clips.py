"""render_clip: exactly the frames that were planned, the right picture in each, moving smoothly below the pixel."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import get_args

import av
import pytest
from PIL import Image, ImageDraw, ImageOps

from shared.errors import AppError
from shared.timeline import Clip, Motion, Still, Transition, plan
from shared.video.clips import render_clip
from shared.video.look import Aspect, Fit, Look
from shared.video.motion import Camera
from shared.video.pictures import open_still, scene
from shared.video.scaling import Scaler
from tests.shared.image_files import encoded
from tests.shared.video.media import assert_sound_mp4, distance, pictures

MOTIONS: list[Motion] = [motion for motion in get_args(Motion) if motion != "auto"]
LOOK = Look(640, 360, 30)
TOLERANCE = 0.05  # pixels
DOT_RADIUS = 24


def painting(seed: int, size: tuple[int, int] = (1280, 720)) -> bytes:
    """Return a picture of large shapes that no other seed has."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    pen = ImageDraw.Draw(image)
    for number in range(12):
        x, y = (seed * 397 + number * 211) % size[0], (seed * 131 + number * 173) % size[1]
        colour = ((seed * 90 + number * 40) % 256, (number * 71) % 256, (seed * 53) % 256)
        pen.ellipse((x - 90, y - 90, x + 90, y + 90), fill=colour)
    return encoded(image, "PNG")


def dotted(size: tuple[int, int], places: Sequence[tuple[float, float]]) -> bytes:
    """Return soft bright dots on grey, at these places in fractions of the picture."""
    image = Image.new("L", size, 60)
    dot = Image.radial_gradient("L").resize((8 * DOT_RADIUS, 8 * DOT_RADIUS), Image.Resampling.BICUBIC)
    glow = ImageOps.invert(dot).point(lambda value: max(0, 2 * value - 255))
    for x, y in places:
        corner = round(x * size[0]) - glow.width // 2, round(y * size[1]) - glow.height // 2
        image.paste(220, (*corner, corner[0] + glow.width, corner[1] + glow.height), glow)
    return encoded(image.convert("RGB"), "PNG")


def clips(
    count: int, frames: int, *, motion: Motion = "still", transition: Transition = "cut", lead: int = 0
) -> list[Clip]:
    """Plan a storyboard of clips that are all as long as one another."""
    stills = [Still(number, "") for number in range(1, count + 1)]
    return plan(
        stills, duration_seconds=count * frames / LOOK.fps, fps=LOOK.fps, motion=motion, transition=transition,
        transition_seconds=lead / LOOK.fps,
    )  # fmt: skip


def rendered(folder: Path, clip: Clip, stills: Sequence[bytes], look: Look = LOOK) -> Path:
    path = folder / f"{clip.number}.mp4"
    previous = stills[clip.previous.frame_number - 1] if clip.previous else None
    render_clip(clip, stills[clip.frame_number - 1], previous, look, path)
    return path


def dot_in(frame: av.VideoFrame, near: tuple[float, float]) -> tuple[float, float]:
    """Return where the bright dot nearest to a place is: the centre of its light, in pixels."""
    plane = frame.planes[0]
    rows, stride, reach = memoryview(plane), plane.line_size, 3 * DOT_RADIUS
    left, top = round(near[0]) - reach, round(near[1]) - reach
    light = across = down = 0.0
    for y in range(max(0, top), min(frame.height, top + 2 * reach)):
        for x in range(max(0, left), min(frame.width, left + 2 * reach)):
            value = rows[y * stride + x] - 75
            if value > 0:
                light += value
                across += value * (x + 0.5)
                down += value * (y + 0.5)
    return across / light, down / light


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_feature_follows_its_ideal_path_below_the_pixel(motion: Motion) -> None:
    """Of the frames as they go to the encoder, which itself may hold a smooth picture back for a moment."""
    look, frames, places = Look(1280, 720, 30), 75, [(0.3, 0.35), (0.7, 0.65)]
    camera = Camera(motion, frames / look.fps)
    still = open_still(dotted((1600, 900), places), 1)
    scaler = Scaler(scene(still, look, camera), (look.width, look.height), camera.box(0), camera.box(1))
    across, down = camera.stretch
    for place in places:
        seen: list[tuple[float, float]] = []
        for index in range(0, frames, 5):
            box = camera.box(index / (frames - 1))
            left, top = box.x - box.width / 2, box.y - box.height / 2
            # Where it is expected, so near that only one dot is meant; and from there in the scene again.
            x, y = (
                ((place[0] - 0.5) / across + 0.5 - left) / box.width,
                ((place[1] - 0.5) / down + 0.5 - top) / box.height,
            )
            x, y = dot_in(scaler.frame(box), (x * look.width, y * look.height))
            seen.append((x / look.width * box.width + left, y / look.height * box.height + top))
        for axis, side in ((0, look.width * across), (1, look.height * down)):
            found = [one[axis] for one in seen]
            middle = sum(found) / len(found)
            assert max(abs(one - middle) for one in found) * side < TOLERANCE


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_motion_moves_what_is_seen_and_still_does_not(motion: Motion, tmp_path: Path) -> None:
    (clip,) = clips(1, 60, motion=motion)
    first, *_, last = pictures(rendered(tmp_path, clip, [painting(1)]))
    assert (distance(first, last) > 1.5) == (motion != "still")


def test_clips_are_whole_and_have_the_same_parameters_whatever_is_in_them(tmp_path: Path) -> None:
    stills = [painting(1), painting(2, (640, 900)), encoded(Image.new("RGB", (40, 30), "red"), "PNG")]
    heads = set()
    for clip in clips(3, 20, motion="auto", transition="crossfade", lead=8):
        path = rendered(tmp_path, clip, stills)
        assert_sound_mp4(path, 20, LOOK)
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            heads.add(bytes(context.extradata or b""))
            frame = next(container.decode(video=0))
        assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)  # BT.709, limited
    assert len(heads) == 1


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_clip_may_be_as_short_as_one_frame(length: int, tmp_path: Path) -> None:
    (clip,) = clips(1, length, motion="zoom_in")
    assert_sound_mp4(rendered(tmp_path, clip, [painting(1)]), length, LOOK)


@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("shape", [(1280, 720), (600, 1000), (1500, 500), (40, 30)])
@pytest.mark.parametrize("aspect", get_args(Aspect))
def test_any_still_fills_any_frame(aspect: Aspect, shape: tuple[int, int], fit: Fit, tmp_path: Path) -> None:
    look = Look.of(aspect, 480, 24, fit)
    (clip,) = clips(1, 3, motion="pan_right")
    path = rendered(tmp_path, clip, [encoded(Image.new("RGB", shape, (200, 80, 40)), "PNG")], look)
    shown = pictures(path)
    assert shown[1].size == (look.width, look.height)
    for corner in ((0, 0), (look.width - 1, look.height - 1), (look.width // 2, look.height // 2)):
        pixel = shown[1].getpixel(corner)
        assert isinstance(pixel, tuple)
        assert all(abs(a - b) < 12 for a, b in zip(pixel, (200, 80, 40), strict=True))


def test_contain_shows_all_of_a_still_and_cover_fills_the_frame_with_it(tmp_path: Path) -> None:
    still = Image.new("RGB", (600, 1200), "blue")
    ImageDraw.Draw(still).rectangle((0, 0, 600, 100), fill="yellow")
    (clip,) = clips(1, 2)
    whole, filled = (
        pictures(rendered(tmp_path, clip, [encoded(still, "PNG")], Look(640, 360, 30, fit)))[0]
        for fit in ("contain", "cover")
    )

    def yellow(picture: Image.Image) -> bool:
        pixels = [picture.getpixel((picture.width // 2, y)) for y in range(picture.height)]
        return any(isinstance(pixel, tuple) and pixel[0] > 180 and pixel[2] < 90 for pixel in pixels)

    assert yellow(whole)
    assert not yellow(filled)


@pytest.mark.parametrize("motion", ["zoom_in", "pan_left"])
def test_a_crossfade_goes_on_from_where_the_predecessor_ended(motion: Motion, tmp_path: Path) -> None:
    stills = [painting(1), painting(2)]
    one, two = clips(2, 30, motion=motion, transition="crossfade", lead=15)
    before, after = pictures(rendered(tmp_path, one, stills)), pictures(rendered(tmp_path, two, stills))
    steps = [distance(a, b) for a, b in pairwise([*before[-4:], *after[:4]])]
    cut = distance(before[-1], pictures(rendered(tmp_path, clips(2, 30, motion=motion)[1], stills))[0])
    assert max(steps) < cut / 4
    assert distance(after[7], Image.blend(before[-1], after[-1], 0.5)) < distance(after[7], before[-1])
    # The predecessor is gone when the transition is over.
    alone = pictures(rendered(tmp_path, two, [painting(3), stills[1]]))
    assert distance(alone[15], after[15]) < 1.5 < distance(alone[3], after[3]) / 2


def test_a_fade_goes_through_black_and_begins_and_ends_in_it(tmp_path: Path) -> None:
    stills = [painting(1), painting(2)]
    one, two = (pictures(rendered(tmp_path, clip, stills)) for clip in clips(2, 30, transition="fade", lead=12))

    def light(picture: Image.Image) -> float:
        return distance(picture, Image.new("RGB", picture.size, "black"))

    bright = light(one[20])
    assert light(one[0]) < bright / 3
    assert light(one[29]) > bright / 2
    assert min(map(light, two[:12])) < bright / 5
    assert light(two[-1]) < light(two[15]) / 3


def test_an_overlay_lies_over_every_frame(tmp_path: Path) -> None:
    (clip,) = clips(1, 4, motion="zoom_in")
    overlay = Image.new("RGBA", (LOOK.width, LOOK.height))
    ImageDraw.Draw(overlay).rectangle((100, 100, 200, 160), fill=(255, 255, 255, 255))
    path = tmp_path / "out.mp4"
    render_clip(clip, encoded(Image.new("RGB", (640, 360), "black"), "PNG"), None, LOOK, path, overlay=overlay)
    for picture in pictures(path):
        inside, outside = picture.getpixel((150, 130)), picture.getpixel((300, 300))
        assert isinstance(inside, tuple) and isinstance(outside, tuple)
        assert min(inside) > 235 and max(outside) < 20


def test_progress_is_told_for_each_frame(tmp_path: Path) -> None:
    (clip,) = clips(1, 5)
    told: list[int] = []
    render_clip(clip, painting(1), None, LOOK, tmp_path / "out.mp4", on_frame=told.append)
    assert told == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("data", [b"", b"no picture", painting(1)[:2000], b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_a_still_that_is_no_picture_names_its_frame_and_leaves_nothing_behind(data: bytes, tmp_path: Path) -> None:
    (clip,) = clips(1, 5)
    with pytest.raises(AppError) as refused:
        render_clip(clip, data, None, LOOK, tmp_path / "out.mp4")
    assert (refused.value.code, refused.value.extra) == ("frame_unreadable", {"frameNumber": 1})
    assert list(tmp_path.iterdir()) == []


def test_a_predecessor_that_is_needed_and_missing_is_named(tmp_path: Path) -> None:
    two = clips(2, 10, transition="crossfade", lead=4)[1]
    with pytest.raises(AppError) as refused:
        render_clip(two, painting(2), None, LOOK, tmp_path / "out.mp4")
    assert (refused.value.code, refused.value.extra) == ("frame_image_missing", {"frameNumber": 1})
    assert list(tmp_path.iterdir()) == []


def test_sixty_frames_a_second_at_1080p(tmp_path: Path) -> None:
    look = Look(1920, 1080, 60)
    (clip,) = plan(
        [Still(1, "")], duration_seconds=0.2, fps=60, motion="zoom_out", transition="cut", transition_seconds=0
    )
    assert_sound_mp4(rendered(tmp_path, clip, [painting(1, (1920, 1080))], look), 12, look)
