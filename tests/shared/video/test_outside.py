"""Clips of outside models: judged by their bytes, and made to fit among our own."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from io import BytesIO
from pathlib import Path

import av
import pytest
from PIL import Image

from shared.errors import AppError
from shared.video.joining import join
from shared.video.look import Look
from shared.video.outside import conform, last_frame, probe
from tests.shared.video.media import (
    LOOK,
    Source,
    assert_sound_mp4,
    clip,
    digests,
    distance,
    pictures,
    scene,
)

SOURCES = [
    Source("wide.mp4", width=640, height=360, rate=24, frames=48),
    Source("tall.mp4", width=180, height=320, rate=25, frames=50),
    Source("square.webm", "libvpx-vp9", width=256, height=256, rate=30),
    Source("av1.mp4", "libsvtav1", width=256, height=144, rate=30),
    Source("mpeg4.mp4", "mpeg4", width=320, height=240, rate=15, frames=15),
    Source("jpeg.mov", "mjpeg", pixels="yuvj420p", rate=12, frames=12),
    Source("prores.mov", "prores", pixels="yuv422p10le", frames=20),
    Source("rgb.mkv", "ffv1", pixels="bgr0", frames=20),
    Source("deep.mp4", pixels="yuv420p10le", frames=20),
    Source("turned.mp4", rotation=90),
    Source("upside.mp4", rotation=180),
    Source("anamorphic.mp4", width=180, height=144, pixel_aspect=Fraction(16, 15)),
    Source("fast.mp4", rate=60, frames=90),
    Source("odd.mp4", width=321, height=179, pixels="yuv444p"),
    Source("ribbon.mp4", width=2048, height=16, frames=3),
    Source("sound.mp4", sound=True),
]


def named(source: object) -> str:
    return source.name if isinstance(source, Source) else str(source)


@pytest.mark.parametrize("fit", ["cover", "contain"])
@pytest.mark.parametrize("source", SOURCES, ids=named)
def test_any_clip_becomes_one_of_ours_and_joins(tmp_path: Path, source: Source, fit: str) -> None:
    look = Look(320, 180, 30, "cover" if fit == "cover" else "contain")
    out, own = tmp_path / "out.mp4", clip(tmp_path / "own.mp4", 10, look)
    assert conform(source.write(tmp_path), out, look, 40)
    assert_sound_mp4(out, 40, look)
    join([own, out, own], tmp_path / "film.mp4", fps=look.fps)
    assert digests(tmp_path / "film.mp4") == [*digests(own), *digests(out), *digests(own)]
    assert not conform(out, tmp_path / "again.mp4", look, 40)
    assert digests(tmp_path / "again.mp4") == digests(out)


def test_a_clip_of_ours_is_copied_and_loses_its_sound(tmp_path: Path) -> None:
    own, out = clip(tmp_path / "own.mp4", 25), tmp_path / "out.mp4"
    with_sound = tmp_path / "sound.mp4"
    sounding = Source("a.mp4", sound=True).write(tmp_path)
    with av.open(str(own)) as video, av.open(str(sounding)) as audio, av.open(str(with_sound), "w") as both:
        tracks = [(video, video.streams.video[0]), (audio, audio.streams.audio[0])]
        sinks = [both.add_stream_from_template(source) for _, source in tracks]
        for (container, source), sink in zip(tracks, sinks, strict=True):
            for packet in container.demux(source):
                if packet.dts is not None:
                    packet.stream = sink
                    both.mux(packet)
    assert probe(with_sound).has_audio
    assert not conform(with_sound, out, LOOK, 25)
    assert_sound_mp4(out, 25, LOOK)
    assert digests(out) == digests(own)


@pytest.mark.parametrize("length", [1, 29, 31, 90])
def test_longer_clips_are_cut_and_shorter_ones_hold_their_last_frame(tmp_path: Path, length: int) -> None:
    source, out = Source(frames=30).write(tmp_path), tmp_path / "out.mp4"
    conform(source, out, LOOK, length)
    assert_sound_mp4(out, length, LOOK)
    shown, drawn = pictures(out), [scene(LOOK)(index) for index in range(30)]
    for index in {*range(0, length, 7), length - 1}:
        likest = min(range(30), key=lambda number: distance(shown[index], drawn[number]))
        assert likest == min(index, 29)


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (Source(rate=24, frames=48), lambda index: round(index * 24 / 30 - 0.01)),
        (Source(rate=60, frames=120), lambda index: 2 * index),
        (Source(rate=30, frames=60), lambda index: index),
        (Source("a.webm", "libvpx-vp9", rate=30, frames=60), lambda index: index),  # whose clock has milliseconds
        (Source(rate=12, frames=24), lambda index: round(index * 12 / 30 - 0.01)),
    ],
    ids=["24", "60", "30", "30 in milliseconds", "12"],
)
def test_time_passes_as_in_the_source(tmp_path: Path, source: Source, place: Callable[[int], int]) -> None:
    """A bar at the place of its frame's number, in steps of two pixels, tells which frame is shown."""

    def bar(index: int) -> Image.Image:
        picture = Image.new("RGB", (320, 180), "navy")
        picture.paste("white", (2 * index, 0, 2 * index + 10, 180))
        return picture

    conform(source.write(tmp_path, bar), tmp_path / "out.mp4", LOOK, 50)
    for index, picture in enumerate(pictures(tmp_path / "out.mp4")):
        box = picture.convert("L").point(lambda value: 255 * (value > 128)).getbbox()
        assert box
        assert box[0] == pytest.approx(2 * place(index), abs=3 if source.rate in (24, 12) else 1), index


def test_a_varying_rate_is_resampled_by_the_clock(tmp_path: Path) -> None:
    times = (0, 33, 500, 533, 1500)
    colours = ("red", "lime", "blue", "yellow", "cyan")
    source = Source("a.mkv", frames=5, times=times)
    path = source.write(tmp_path, lambda index: Image.new("RGB", (320, 180), colours[index]))
    conform(path, tmp_path / "out.mp4", LOOK, 60)
    shown = pictures(tmp_path / "out.mp4")
    for index, picture in enumerate(shown):
        seen = max(number for number, time in enumerate(times) if time <= index * 1000 / 30 + 1)
        assert distance(picture, Image.new("RGB", (320, 180), colours[seen])) < 8, index


def _same(picture: Image.Image, _: int) -> Image.Image:
    return picture


def corners(width: int, height: int) -> Image.Image:
    """Return a picture whose quarters differ."""
    picture = Image.new("RGB", (width, height), "red")
    picture.paste("lime", (width // 2, 0, width, height // 2))
    picture.paste("blue", (0, height // 2, width // 2, height))
    picture.paste("yellow", (width // 2, height // 2, width, height))
    return picture


@pytest.mark.parametrize(
    ("rotation", "seen"),
    [
        (0, ("red", "lime", "blue", "yellow")),
        (90, ("lime", "yellow", "red", "blue")),
        (-90, ("blue", "red", "yellow", "lime")),
        (180, ("yellow", "blue", "lime", "red")),
    ],
)
def test_a_turned_clip_stands_upright(tmp_path: Path, rotation: int, seen: Sequence[str]) -> None:
    source = Source(rotation=rotation, width=320, height=320).write(tmp_path, lambda _: corners(320, 320))
    look = Look(240, 240, 30)
    conform(source, tmp_path / "out.mp4", look, 3)
    picture = pictures(tmp_path / "out.mp4")[1]
    for colour, place in zip(seen, ((60, 60), (180, 60), (60, 180), (180, 180)), strict=True):
        spot = picture.crop((place[0] - 9, place[1] - 9, place[0] + 9, place[1] + 9))
        assert distance(spot, Image.new("RGB", spot.size, colour)) < 12


def test_a_turned_clips_size_is_that_of_what_is_seen(tmp_path: Path) -> None:
    probed = probe(Source(rotation=-90, width=320, height=180).write(tmp_path))
    assert (probed.width, probed.height) == (180, 320)


def test_cover_fills_the_frame_and_contain_shows_all(tmp_path: Path) -> None:
    source = Source(width=180, height=320).write(tmp_path, lambda _: corners(180, 320))
    for fit, inside, outside in (("cover", (20, 20), None), ("contain", (130, 20), (20, 20))):
        look = Look(320, 180, 30, "cover" if fit == "cover" else "contain")
        conform(source, tmp_path / "out.mp4", look, 2)
        picture = pictures(tmp_path / "out.mp4")[1]
        assert distance(picture.crop((*inside, inside[0] + 5, inside[1] + 5)), Image.new("RGB", (5, 5), "red")) < 12
        if outside:
            assert len(picture.crop((0, 0, 90, 180)).getcolors(90 * 180) or ()) > 100  # blurred
            edge = picture.crop((109, 40, 212, 41))  # all of the source's width, and no more
            assert distance(edge.crop((0, 0, 50, 1)), Image.new("RGB", (50, 1), "red")) < 12
            assert distance(edge.crop((53, 0, 103, 1)), Image.new("RGB", (50, 1), "lime")) < 12


@pytest.mark.parametrize(
    "source",
    [
        Source("a.mp4", frames=1),
        Source("a.mov", "mjpeg", pixels="yuvj420p", frames=1),
        Source("a.mkv", "ffv1", pixels="bgr0", frames=1),
        Source("hd.mp4", width=1280, height=720, frames=1, matrix="itu709"),
        Source("tagged.mp4", frames=1, matrix="itu709", tagged=True),
    ],
    ids=["BT.601", "full range", "RGB", "HD", "BT.709 by its tag"],
)
def test_colours_and_range_survive(tmp_path: Path, source: Source) -> None:
    for colour in ("#c81e3c", "#14b45a", "#f0f0f0", "#101010"):
        plain = Image.new("RGB", (source.width, source.height), colour)
        conform(source.write(tmp_path, partial(_same, plain)), tmp_path / "out.mp4", LOOK, 1)
        assert distance(pictures(tmp_path / "out.mp4")[0], plain) < 4


@pytest.mark.parametrize("source", SOURCES, ids=named)
def test_what_a_clip_is_is_told_from_its_head(tmp_path: Path, source: Source) -> None:
    probed = probe(source.write(tmp_path))
    assert probed.codec in source.codec.replace("libx264", "h264").replace("libsvtav1", "av1")
    upright = (source.height, source.width) if source.rotation == 90 else (source.width, source.height)
    assert (probed.width, probed.height) == upright
    assert probed.fps == source.rate
    assert probed.frames == pytest.approx(source.frames, abs=1)
    assert probed.seconds == pytest.approx(source.frames / source.rate, abs=0.05)
    assert probed.has_audio == source.sound


@pytest.mark.parametrize("fit", ["cover", "contain"])
@pytest.mark.parametrize("source", SOURCES[:12], ids=named)
def test_a_crossfade_begins_from_the_picture_that_was_seen_last(tmp_path: Path, source: Source, fit: str) -> None:
    look = Look(320, 180, 30, "cover" if fit == "cover" else "contain")
    path = source.write(tmp_path)
    for length in (7, 40):
        conform(path, tmp_path / "out.mp4", look, length)
        picture = Image.open(BytesIO(last_frame(path, look, length)))
        assert (picture.format, picture.size) == ("PNG", (look.width, look.height))
        assert distance(picture.convert("RGB"), pictures(tmp_path / "out.mp4")[-1]) < 4


def test_progress_is_told_and_an_interruption_leaves_no_file(tmp_path: Path) -> None:
    heard: list[int] = []
    path = Source(frames=20).write(tmp_path)
    conform(path, tmp_path / "out.mp4", LOOK, 20, on_frame=heard.append)
    assert heard == list(range(20))

    def stop(frames: int) -> None:
        if frames > 5:
            raise AppError("clip_too_long")

    with pytest.raises(AppError) as refused:
        conform(path, tmp_path / "other.mp4", LOOK, 20, on_frame=stop)
    assert refused.value.code == "clip_too_long"
    assert not (tmp_path / "other.mp4").exists()
