"""The simulated deployment behaves as the textbook says of such queues."""

import pytest

from infra.local.simulation.model import Cost, Platform, Simulation, offered
from infra.local.simulation.report import first_limit

COSTS = {
    "upload_image": Cost(0.2, database=0.01),
    "save_frames": Cost(0.05, database=0.02),
    "get_frames": Cost(0.02, database=0.01),
    "generate_video": Cost(0.05, database=0.02),
    "render_clip": Cost(2.0, database=0.02),
    "merge_clips": Cost(3.0, database=0.02),
}


def simulate(per_minute: float, minutes: float = 10, platform: Platform | None = None) -> "Simulation":
    return Simulation(COSTS, platform or Platform(), per_minute, minutes, seed=1)


def test_an_idle_deployment_takes_what_its_parts_take() -> None:
    found = simulate(1, minutes=300).run()
    assert found.begun == found.finished
    # The slowest of six exponential clips takes 2.45 times the mean of one.
    assert found.video_p50 == pytest.approx(0.05 + 2.0 * 2.45 + 3.0, rel=0.25)
    assert max(found.utilisation.values()) < 0.02


def test_a_pool_is_as_busy_as_its_arrivals_times_its_work() -> None:
    found = simulate(60, minutes=30).run()
    asked = offered(COSTS, 60)
    assert asked["renderers"] == pytest.approx(6 * 2.0)  # one storyboard a second, of six clips of two seconds
    for name, places in Platform().places().items():
        assert found.utilisation[name] == pytest.approx(asked[name] / places, rel=0.1)


def test_beyond_its_limit_a_pool_is_always_busy_and_what_waits_grows() -> None:
    short, long = (simulate(600, minutes, Platform(renderers=20)).run() for minutes in (2, 4))
    assert first_limit(COSTS, Platform(renderers=20), 600)[0] == "renderers"
    assert short.utilisation["renderers"] == pytest.approx(1, abs=0.05)
    assert long.waiting > 1.5 * short.waiting > 0
    assert long.video_p95 > 1.5 * short.video_p95


def test_more_of_what_is_short_moves_the_limit() -> None:
    narrow, wide = Platform(mergers=100, renderers=200, connections=1), Platform(mergers=100, renderers=200)
    assert [first_limit(COSTS, platform, 300)[0] for platform in (narrow, wide)] == ["database", "renderers"]
    short, enough = (simulate(300, 3, platform).run() for platform in (narrow, wide))
    assert enough.upload_p95 < short.upload_p95
