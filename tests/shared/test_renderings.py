"""renderings: what of a plan decides which clips are equal."""

from typing import Any

import pytest

from shared.errors import AppError
from shared.pricing import MERGE_MEMORY_MB, PRICES, RENDER_MEMORY_MB, elapsing, merging, rendering, worker_dollars
from shared.renderings import RENDERER, VideoOptions, clip_of, planned_video
from shared.timeline import Predecessor


def frames(*timestamps: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"frame_number": number, "timestamp": text, "description": f"Frame {number}", "clip_path": None, **more}
        for number, text in enumerate(timestamps, start=1)
    ]


def planned(rows: list[dict[str, Any]], seconds: float = 6, **options: Any) -> list[dict[str, Any]]:
    return list(planned_video(rows, seconds, VideoOptions(**options)).rows)


def recipes(rows: list[dict[str, Any]]) -> list[Any]:
    return [row["recipe"] for row in rows]


def test_where_a_clip_lies_does_not_decide_what_it_looks_like() -> None:
    once = planned(frames("0s", "2s"), 4, motion="still", transition="cut")
    assert recipes(once)[0] == recipes(once)[1]
    assert (once[0]["start_seconds"], once[1]["start_seconds"]) == (0, 2)


def test_a_change_of_one_frames_length_changes_its_own_clip_and_the_next() -> None:
    before = recipes(planned(frames("0s", "2s", "4s", "6s"), 8))
    after = recipes(planned(frames("0s", "2s", "4.5s", "6s"), 8))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, False, False]
    later = recipes(planned(frames("0s", "2s", "4s", "6.5s"), 8))
    assert [one == other for one, other in zip(before, later, strict=True)] == [True, True, False, False]


def test_a_caption_counts_where_it_is_burned() -> None:
    texts = frames("0s"), frames("0s", description="Other words")
    beside = [recipes(planned(rows, captions="sidecar")) for rows in texts]
    burned = [recipes(planned(rows, captions="burned")) for rows in texts]
    assert beside[0] == beside[1]
    assert burned[0] != burned[1]


def test_a_row_leads_back_to_the_clip_that_was_planned() -> None:
    video = planned_video(frames("0s", "2s", "3s"), 6, VideoOptions(transition="fade"))
    for clip, row in zip(video.clips, video.rows, strict=True):
        claimed = {
            "clip_number": row["clip_number"],
            "frame_number": row["frame_number"],
            "previous_frame": row["previous_frame"],
            "spec": row["recipe"],
        }
        found = clip_of(claimed)
        assert (found.number, found.motion, found.length, found.previous) == (
            clip.number,
            clip.motion,
            clip.length,
            clip.previous,
        )
    assert recipes(list(video.rows))[0]["renderer"] == RENDERER


def test_a_clip_from_elsewhere_is_cut_in_and_faded_out_of() -> None:
    rows = frames("0s", "2s", "4s")
    rows[1]["clip_path"] = "x/clips/y.mp4"
    first, second, third = planned_video(rows, 6, VideoOptions()).clips
    assert (second.transition, second.transition_length, second.previous) == ("cut", 0, None)
    assert isinstance(third.previous, Predecessor)
    assert (third.previous.motion, third.transition) == ("still", "crossfade")
    assert first.length + second.length + third.length == 180


def test_options_that_came_later_have_their_defaults_in_older_videos() -> None:
    assert VideoOptions.model_validate({"aspect": "1:1"}).look.width == 720


def test_costs_are_the_tables() -> None:
    one = worker_dollars(10, 1024)
    assert one == pytest.approx(10 * PRICES["lambda_gb_second"].dollars + 0.2e-6 + 3 * 0.4e-6)
    clip, merge = rendering(150, 1280, 720), merging(900, 1280, 720)
    assert clip.dollars == pytest.approx(worker_dollars(clip.seconds, RENDER_MEMORY_MB))
    assert merge.dollars == pytest.approx(worker_dollars(merge.seconds, MERGE_MEMORY_MB))
    assert rendering(300, 1280, 720).seconds > clip.seconds
    assert elapsing([], merge) == merge.seconds
    assert elapsing([clip], merge) == clip.seconds + merge.seconds
    assert elapsing([clip] * 500, merge) == pytest.approx(10 * clip.seconds + merge.seconds)


def test_every_price_says_where_and_when_it_was_read() -> None:
    for price in PRICES.values():
        assert price.dollars > 0
        assert price.source.startswith("https://")
        assert price.read >= "2026"


def test_what_no_worker_could_finish_is_refused() -> None:
    with pytest.raises(AppError) as refused:
        planned(frames("0s", "5s"), 3600, resolution=1080, fps=60)
    assert (refused.value.code, refused.value.extra) == ("clip_too_long", {"frameNumber": 2})
