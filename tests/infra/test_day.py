"""A short day: nothing of it is lost, and every figure is that of the raw events."""

from datetime import date
from pathlib import Path

import pytest

from infra.local.day.recount import percentile, recounted
from infra.local.day.run import Day
from infra.local.stack import Stack


@pytest.mark.timeout(900)
def test_every_figure_of_a_day_is_recounted_and_every_failure_found(state_folder: Path) -> None:
    with Stack(state_folder, port=0) as stack:
        day = Day(stack, requests=360, videos=2, people=5)
        day.live()
        failures = {one.code for one in day.traffic.ledger if one.status >= 400}
        assert failures == {
            "invalid_token", "validation_failed", "session_not_found", "not_an_image", "image_too_large",
            "foreign_image_url", "version_conflict", "method_not_allowed",
        }  # fmt: skip
        assert day.mistakes() == []
        # That it can fail: an event that goes missing, and one that is made up.
        [(lost,)] = day._database.execute(
            "delete from public.usage_events where id = (select max(id) from public.usage_events"
            " where kind = 'request' and status = 422) returning request_id"
        ).fetchall()
        assert any(lost in one for one in day.mistakes())


def test_percentiles_lie_between_what_was_measured() -> None:
    assert percentile([], 0.5) is None
    assert percentile([1.0], 0.95) == 1
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2
    assert percentile([0.0, 10.0], 0.95) == pytest.approx(9.5)


def test_an_empty_day_is_counted_as_nothing() -> None:
    counted = recounted([], date(2026, 1, 1), None)
    assert counted["requests"] == 0 and counted["uploadP50Ms"] is None
