"""Joining: the clips' packets as they are, one frame after the other."""

import resource
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import AppError
from shared.video.joining import join
from shared.video.look import Look
from shared.video.soundtrack import fit_soundtrack
from tests.shared.video.media import (
    AAC_FRAME,
    LOOK,
    RATE,
    Source,
    assert_sound_mp4,
    audio_file,
    clip,
    digests,
    heard,
    music,
    seconds_of,
)

LENGTHS = (30, 1, 45, 2, 3, 320, 5, 1, 1, 17)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """Clips of many lengths, one longer than a group of pictures."""
    folder = tmp_path_factory.mktemp("clips")
    return [clip(folder / f"{number}.mp4", length, seed=number) for number, length in enumerate(LENGTHS)]


def test_no_frame_is_lost_doubled_or_changed_at_any_boundary(clips: Sequence[Path], tmp_path: Path) -> None:
    out = tmp_path / "film.mp4"
    joined = join(clips, out, fps=LOOK.fps)
    assert_sound_mp4(out, sum(LENGTHS), LOOK)
    assert digests(out) == [one for path in clips for one in digests(path)]
    assert (joined.frames, joined.width, joined.height) == (sum(LENGTHS), LOOK.width, LOOK.height)
    assert joined.duration_seconds == sum(LENGTHS) / LOOK.fps
    assert joined.bytes == out.stat().st_size


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.integers(0, len(LENGTHS) - 1), min_size=1, max_size=8))
def test_clips_join_in_any_order(clips: Sequence[Path], tmp_path: Path, order: list[int]) -> None:
    out = tmp_path / "film.mp4"
    join([clips[number] for number in order], out, fps=LOOK.fps)
    assert_sound_mp4(out, sum(LENGTHS[number] for number in order), LOOK)
    assert digests(out) == [one for number in order for one in digests(clips[number])]


@pytest.mark.parametrize("fps", [24, 25, 30, 60])
def test_every_rate_is_exact(tmp_path: Path, fps: int) -> None:
    look = Look(160, 90, fps)
    parts = [clip(tmp_path / f"{number}.mp4", length, look, number) for number, length in enumerate((7, 1, fps, 13))]
    out, length = tmp_path / "film.mp4", 21 + fps
    sound = tmp_path / "sound.m4a"
    fit_soundtrack(audio_file(tmp_path / "a.wav", music(1), "pcm_s16le"), sound, Fraction(length, fps))
    join(parts, out, fps=fps, soundtrack=sound)
    assert_sound_mp4(out, length, look, audio=True)
    assert seconds_of(out, "video") == Fraction(length, fps)
    assert abs(seconds_of(out, "audio") - Fraction(length, fps)) <= Fraction(1, RATE)


def test_sound_lasts_as_long_as_the_picture_and_is_copied(clips: Sequence[Path], tmp_path: Path) -> None:
    sound, out = tmp_path / "sound.m4a", tmp_path / "film.mp4"
    seconds = Fraction(sum(LENGTHS), LOOK.fps)
    fit_soundtrack(audio_file(tmp_path / "a.wav", music(2), "pcm_s16le"), sound, seconds)
    join(clips, out, fps=LOOK.fps, soundtrack=sound)
    assert_sound_mp4(out, sum(LENGTHS), LOOK, audio=True)
    assert digests(out) == [one for path in clips for one in digests(path)]
    assert abs(len(heard(out)) - seconds * RATE) <= AAC_FRAME
    assert heard(out) == heard(sound)
    with av.open(str(out)) as container:
        audio = container.streams.audio[0]
        assert (audio.codec_context.name, audio.sample_rate, audio.channels) == ("aac", RATE, 2)
        assert audio.start_time == 0
        # Players need not look far: sound and picture of one moment lie beside one another.
        times = [float(packet.dts * packet.time_base) for packet in container.demux() if packet.dts is not None]
    assert all(later > earlier - 0.1 for earlier, later in pairwise(times))


def test_a_thousand_clips_need_little_memory_and_few_open_files(clips: Sequence[Path], tmp_path: Path) -> None:
    many = [clips[number % len(clips)] for number in range(1000)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 16, hard))
    try:
        joined = join(many, tmp_path / "film.mp4", fps=LOOK.fps)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert joined.frames == 100 * sum(LENGTHS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    with av.open(str(tmp_path / "film.mp4")) as container:
        places = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    assert sorted(places) == [index * 512 for index in range(joined.frames)]


@pytest.mark.parametrize(
    "other",
    [
        Source("x264.mp4", width=LOOK.width, height=LOOK.height),
        Source("size.mp4", width=640, height=360),
        Source("codec.mp4", "mpeg4"),
        Source("clock.mkv"),
    ],
    ids=lambda source: str(source.name),
)
def test_a_clip_that_was_encoded_in_another_way_is_named(clips: Sequence[Path], tmp_path: Path, other: Source) -> None:
    odd = other.write(tmp_path)
    for order, number in (([clips[0], clips[1], odd, clips[2]], 3), ([odd, clips[0]], 2)):
        with pytest.raises(AppError) as refused:
            join(order, tmp_path / "film.mp4", fps=LOOK.fps)
        assert refused.value.code == "clip_mismatch"
        assert refused.value.extra["clipNumber"] in (number, 1)
        assert not (tmp_path / "film.mp4").exists()


def test_a_clip_of_another_rate_is_named(clips: Sequence[Path], tmp_path: Path) -> None:
    slow = clip(tmp_path / "slow.mp4", 5, Look(LOOK.width, LOOK.height, 24))
    with pytest.raises(AppError) as refused:
        join([clips[0], slow], tmp_path / "film.mp4", fps=LOOK.fps)
    assert (refused.value.code, refused.value.extra) == ("clip_mismatch", {"clipNumber": 2})
    with pytest.raises(AppError) as refused:
        join([clips[0]], tmp_path / "film.mp4", fps=24)
    assert (refused.value.code, refused.value.extra) == ("clip_mismatch", {"clipNumber": 1})


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "playlist"])
def test_a_damaged_clip_is_named(clips: Sequence[Path], tmp_path: Path, damage: str) -> None:
    broken = tmp_path / "broken.mp4"
    whole = clips[2].read_bytes()
    broken.write_bytes(
        {
            "cut": whole[: len(whole) * 2 // 3],
            "empty": b"",
            "text": b"once upon a time" * 100,
            "playlist": f"#EXTM3U\n#EXTINF:1,\n{clips[0]}\n#EXT-X-ENDLIST\n".encode(),
        }[damage]
    )
    with pytest.raises(AppError) as refused:
        join([clips[0], broken], tmp_path / "film.mp4", fps=LOOK.fps)
    assert (refused.value.code, refused.value.extra) == ("clip_damaged", {"clipNumber": 2})
    assert not (tmp_path / "film.mp4").exists()


def test_a_clip_that_lacks_its_first_frames_is_named(clips: Sequence[Path], tmp_path: Path) -> None:
    late = tmp_path / "late.mp4"
    with av.open(str(clips[2])) as source, av.open(str(late), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None and number > 4:
                packet.stream = stream
                out.mux(packet)
    with pytest.raises(AppError) as refused:
        join([clips[0], late], tmp_path / "film.mp4", fps=LOOK.fps)
    assert (refused.value.code, refused.value.extra) == ("clip_damaged", {"clipNumber": 2})


def test_nothing_to_join_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AppError) as refused:
        join([], tmp_path / "film.mp4", fps=30)
    assert refused.value.code == "no_frames"
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_no_damaged_clip_and_leaves_no_file(clips: Sequence[Path], tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match=r"."):
            join(clips, tmp_path / "film.mp4", fps=LOOK.fps)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())
