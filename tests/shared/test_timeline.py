"""Clips from stills and timestamps: exact to the output frame, whatever a client writes."""

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import AppError
from shared.timeline import Clip, Motion, Still, Transition, parse_timestamp, plan

MOTIONS: tuple[Motion, ...] = get_args(Motion)
TRANSITIONS: tuple[Transition, ...] = get_args(Transition)

TIMESTAMPS = {
    "5": 5,
    "5s": 5,
    " 5 s ": 5,
    "2.5": 2.5,
    "2,5s": 2.5,
    "5sec": 5,
    "5 seconds": 5,
    "500ms": 0.5,
    "2m": 120,
    "2 minutes": 120,
    "1m30s": 90,
    "1h 2m 3s": 3723,
    "0:05": 5,
    "1:05": 65,
    "00:05.250": 5.25,
    "00:00:05.0": 5,
    "00:00:05,000": 5,
    "1:00:00": 3600,
    "[0:05]": 5,
    "@5s": 5,
    "0-5s": 0,
    "5-10s": 5,
    "5s-10s": 5,
    "5 – 10 s": 5,
    "5 to 10 s": 5,
    "1-2min": 60,
    "0:05-0:10": 5,
    "00:00:05,000 --> 00:00:10,000": 5,
}


@pytest.mark.parametrize(("text", "seconds"), TIMESTAMPS.items())
def test_timestamps_are_read_as_clients_write_them(text: str, seconds: float) -> None:
    assert parse_timestamp(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "-5", "5-", "-", "0:75", "1:2:3:4", "5 apples", "nan", "inf", "1e3", "١", "0x10", "5-10-15"],
)
def test_what_is_no_timestamp_is_none(text: str) -> None:
    assert parse_timestamp(text) is None


@given(st.text(max_size=50))
def test_any_text_has_a_time_of_zero_or_more_or_none(text: str) -> None:
    seconds = parse_timestamp(text)
    assert seconds is None or 0 <= seconds < 10**12


def planned(timestamps: list[str], **options: object) -> list[Clip]:
    chosen = {"duration_seconds": 30, "fps": 30, "motion": "auto", "transition": "crossfade", "transition_seconds": 0.5}
    stills = [Still(number, timestamp) for number, timestamp in enumerate(timestamps, start=1)]
    return plan(stills, **{**chosen, **options})  # type: ignore[arg-type]


def starts(clips: list[Clip], fps: int = 30) -> list[float]:
    return [clip.start / fps for clip in clips]


def test_clips_begin_where_their_timestamps_say() -> None:
    assert starts(planned(["0-5s", "5-12s", "12-30s"])) == [0, 5, 12]


def test_the_first_clip_begins_at_once_whatever_its_timestamp() -> None:
    assert starts(planned(["3s", "10s", "20s"])) == [0, 10, 20]


@pytest.mark.parametrize(
    "timestamps",
    [
        ["0s", "later", "20s"],
        ["0s", "20s", "10s"],
        ["0s", "10s", "10s"],
        ["10s", "20s", "30s"],
        ["0s", "10s", "40s"],
        ["", "", ""],
    ],
    ids=["unreadable", "falling", "equal", "at the end", "beyond the end", "empty"],
)
def test_timestamps_that_make_no_order_give_way_to_an_even_split(timestamps: list[str]) -> None:
    assert starts(planned(timestamps)) == [0, 10, 20]


def test_an_even_split_spreads_what_is_left_over() -> None:
    assert [clip.length for clip in planned(["", "", ""], duration_seconds=10, fps=25)] == [83, 83, 84]


def test_timestamps_closer_than_an_output_frame_get_one_each() -> None:
    clips = planned(["0s", "0.001s", "0.002s", "0.003s"], duration_seconds=1)
    assert [clip.start for clip in clips] == [0, 1, 2, 3]
    crowded = planned(["0s", "0.97s", "0.98s", "0.99s"], duration_seconds=1)
    assert [clip.length for clip in crowded] == [27, 1, 1, 1]


def test_transitions_shorten_to_half_of_the_shorter_clip() -> None:
    clips = planned(["0s", "10s", "11s"], transition_seconds=5)
    assert [clip.transition_length for clip in clips] == [0, 15, 15]


def test_a_clip_shows_its_still_until_the_next_one_has_taken_over() -> None:
    first, second, third = planned(["0s", "10s", "20s"])
    assert (first.shown, second.shown, third.shown) == (315, 315, 300)
    assert second.previous is not None
    assert (second.previous.frame_number, second.previous.length, second.previous.shown) == (1, 300, 315)
    assert second.previous.motion == first.motion


def test_a_cut_knows_no_predecessor() -> None:
    clips = planned(["0s", "10s", "20s"], transition="cut")
    assert {(clip.transition, clip.transition_length, clip.previous) for clip in clips} == {("cut", 0, None)}
    assert [clip.shown for clip in clips] == [300, 300, 300]


def test_a_fade_begins_and_ends_in_black_for_half_of_its_time() -> None:
    first, second, third = planned(["0s", "10s", "20s"], transition="fade", transition_seconds=1)
    assert (first.transition, first.transition_length, first.previous) == ("fade", 15, None)
    assert (second.transition_length, second.fade_out) == (30, 0)
    assert (third.transition_length, third.fade_out) == (30, 15)


def test_the_fades_of_a_single_clip_leave_room_for_one_another() -> None:
    (only,) = planned([""], transition="fade", transition_seconds=2, duration_seconds=1)
    assert (only.transition_length, only.fade_out, only.length) == (15, 15, 30)


def test_a_chosen_motion_is_that_of_all_clips() -> None:
    assert {clip.motion for clip in planned([""] * 9, motion="pan_up")} == {"pan_up"}


def test_auto_varies_and_stays_the_same_at_each_planning() -> None:
    motions = [clip.motion for clip in planned([""] * 20)]
    assert len(set(motions)) >= 5
    assert motions == [clip.motion for clip in planned([""] * 20)]


@pytest.mark.parametrize(
    ("shape", "motions"), [(9 / 16, {"pan_up", "pan_down"}), (3.0, {"pan_left", "pan_right"})], ids=["tall", "wide"]
)
def test_auto_pans_along_stills_of_another_shape(shape: float, motions: set[Motion]) -> None:
    stills = [Still(number, "", shape) for number in range(1, 5)]
    clips = plan(
        stills,
        duration_seconds=20,
        fps=30,
        motion="auto",
        transition="cut",
        transition_seconds=0,
        shape=16 / 9,
    )
    assert {clip.motion for clip in clips} == motions


def test_another_still_in_one_place_leaves_all_other_clips_as_they_are() -> None:
    before = planned([""] * 6)
    stills = [Still(99 if number == 3 else number, "") for number in range(1, 7)]
    after = plan(stills, duration_seconds=30, fps=30, motion="auto", transition="crossfade", transition_seconds=0.5)
    assert [one.number for one, other in zip(before, after, strict=True) if one != other] == [3, 4]


def test_no_stills_make_no_video() -> None:
    with pytest.raises(AppError) as refusal:
        planned([])
    assert refusal.value.code == "no_frames"


def test_more_stills_than_output_frames_are_refused_with_what_to_do() -> None:
    with pytest.raises(AppError) as refusal:
        planned([""] * 1000, duration_seconds=1)
    assert refusal.value.code == "video_too_short"
    assert refusal.value.detail.startswith("1,000 frames need 34 s at least at 30 fps. Lengthen the video")
    assert len(planned([""] * 1000, duration_seconds=34)) == 1000


@st.composite
def storyboards(draw: st.DrawFn) -> tuple[list[Still], float, int]:
    count, fps = draw(st.integers(1, 60)), draw(st.sampled_from((24, 25, 30, 60)))
    duration = draw(st.floats(count / fps + 0.05, 200))
    written = st.one_of(st.text(max_size=8), st.floats(0, duration).map(lambda second: f"{second:.3f}s"))
    times = draw(st.one_of(st.lists(written, min_size=count, max_size=count), st.just([""] * count)))
    if draw(st.booleans()):
        times = [f"{duration * index / count * draw(st.floats(0.5, 1)):.4f}" for index in range(count)]
    shapes = st.one_of(st.none(), st.floats(0.2, 5))
    return [Still(number, time, draw(shapes)) for number, time in enumerate(times, start=1)], duration, fps


@given(
    storyboards(),
    st.sampled_from(MOTIONS),
    st.sampled_from(TRANSITIONS),
    st.floats(0, 10),
    st.one_of(st.none(), st.floats(0.4, 2.5)),
)
def test_any_storyboard_becomes_clips_without_gaps(
    board: tuple[list[Still], float, int], motion: Motion, transition: Transition, seconds: float, shape: float | None
) -> None:
    stills, duration, fps = board
    clips = plan(
        stills,
        duration_seconds=duration,
        fps=fps,
        motion=motion,
        transition=transition,
        transition_seconds=seconds,
        shape=shape,
    )
    assert [clip.number for clip in clips] == list(range(1, len(stills) + 1))
    assert [clip.frame_number for clip in clips] == [still.frame_number for still in stills]
    assert clips[0].start == 0
    assert all(later.start == sooner.start + sooner.length for sooner, later in pairwise(clips))
    assert clips[-1].start + clips[-1].length == sum(clip.length for clip in clips) == round(duration * fps)
    assert all(clip.length >= 1 for clip in clips)
    assert all(clip.motion != "auto" for clip in clips)
    assert all(0 <= clip.transition_length + clip.fade_out <= clip.length for clip in clips)
    assert all((clip.transition == "cut") == (clip.transition_length == 0) for clip in clips)
    assert all(clip.transition in {"cut", transition} for clip in clips)
    assert all(clip.transition_length <= seconds * fps + 0.5 for clip in clips)
    assert all(sooner.shown == sooner.length + later.transition_length for sooner, later in pairwise(clips))
    assert clips[-1].shown == clips[-1].length
    for sooner, later in pairwise(clips):
        assert later.transition_length <= min(sooner.length, later.length) / 2
        if later.previous:
            described = (
                later.previous.frame_number,
                later.previous.motion,
                later.previous.length,
                later.previous.shown,
            )
            assert described == (sooner.frame_number, sooner.motion, sooner.length, sooner.shown)
        assert (later.previous is None) == (later.transition == "cut")
        assert motion != "auto" or sooner.motion != later.motion
