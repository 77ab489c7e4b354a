"""render_clip: one worker at a time has a clip, and is heard of; what becomes of a clip that nobody waits for."""

from collections.abc import Callable
from threading import Event
from typing import Any

import psycopg
import pytest

from shared import leases
from shared.supabase_access import Access
from tests.client import JsonObject
from tests.people import User
from tests.videos import Job, Queues, clip_files, dead, start

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("temporary")


def test_one_whose_worker_may_still_be_at_it_comes_again(queues: Queues, job: Job) -> None:
    job.change(
        1, "status = 'rendering', attempts = 1, claimed_by = 'other', leased_until = now() + interval '1 minute'"
    )
    assert not queues.deliver("render", job.messages[0])
    assert not queues.deliver("render", dead(job.messages[0])), "a repeat must not fail what another one may finish"
    assert job.row(1)["status"] == "rendering"


def test_a_lost_workers_clip_is_done_again(queues: Queues, job: Job) -> None:
    job.change(1, "status = 'rendering', attempts = 1, claimed_by = 'lost', leased_until = now() - interval '1 second'")
    assert queues.deliver("render", job.messages[0])
    assert (job.row(1)["status"], job.row(1)["attempts"]) == ("completed", 2)


def test_a_message_that_comes_again_takes_its_own_claim_over_at_once(queues: Queues, job: Job) -> None:
    job.change(
        1,
        f"status = 'rendering', attempts = 1, claimed_by = '{job.messages[0]['messageId']}',"
        " leased_until = now() + interval '1 minute'",
    )
    assert queues.deliver("render", job.messages[0])
    assert job.row(1)["status"] == "completed"


@pytest.fixture
def at_frame(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Do something when so many frames of a clip are rendered."""

    def plan(frames: int, act: Callable[[], object]) -> None:
        report = leases.Lease.report

        def acting(lease: leases.Lease, progress: float) -> None:
            if progress >= frames / 24:
                monkeypatch.setattr(leases.Lease, "report", report)
                act()
            report(lease, progress)

        monkeypatch.setattr(leases.Lease, "report", acting)

    return plan


def test_a_worker_whose_claim_was_taken_over_leaves_nothing(
    alice: User, queues: Queues, job: Job, database: Database, at_frame: Callable[[int, Callable[[], object]], None]
) -> None:
    at_frame(
        12, lambda: job.change(1, "attempts = 2, claimed_by = 'other', status = 'completed', video_url = 'x/y.mp4'")
    )
    assert queues.deliver("render", job.messages[0])
    assert (job.row(1)["attempts"], job.row(1)["video_url"]) == (2, "x/y.mp4")
    assert clip_files(database, alice) == set()


def test_a_worker_that_hears_of_its_loss_stops(
    queues: Queues,
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    at_frame: Callable[[int, Callable[[], object]], None],
) -> None:
    monkeypatch.setattr(leases, "_RENEWED_EVERY_SECONDS", 0.01)
    lost = Event()
    renew = Access.rpc

    def noticed(access: Access, function: str, parameters: Any) -> Any:
        answer = renew(access, function, parameters)
        if function == "renew_clip" and not answer:
            lost.set()
        return answer

    monkeypatch.setattr(Access, "rpc", noticed)

    def take_over() -> None:
        job.change(1, "attempts = 7, claimed_by = 'other', leased_until = now() + interval '1 minute'")
        assert lost.wait(30)

    at_frame(2, take_over)
    assert queues.deliver("render", job.messages[0])
    assert (job.row(1)["status"], job.row(1)["attempts"], job.row(1)["progress"] < 0.5) == ("rendering", 7, True)


def test_a_lease_is_renewed_and_progress_told_while_the_work_goes_on(
    queues: Queues,
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    at_frame: Callable[[int, Callable[[], object]], None],
) -> None:
    monkeypatch.setattr(leases, "_RENEWED_EVERY_SECONDS", 0.01)
    seen: list[JsonObject] = []

    def look() -> None:
        job.change(1, "leased_until = now(), progress = 0")
        wait_until(lambda: job.row(1)["progress"] >= 0.4)
        seen.append({**job.row(1), "video": job.shown["video"]["progress"]})

    at_frame(12, look)
    assert queues.deliver("render", job.messages[0])
    [row] = seen
    assert row["video"] == pytest.approx(0.9 * row["progress"] / 2)
    in_time = job.database.execute(
        "select %s::timestamptz > now() + interval '20 s'", (row["leased_until"],)
    ).fetchone()
    assert in_time == (True,)


def wait_until(reached: Callable[[], bool]) -> None:
    waiting = Event()
    for _ in range(3000):
        if reached():
            return
        waiting.wait(0.01)
    raise AssertionError("not reached in time")


def test_clips_of_a_canceled_video_are_not_begun(alice: User, queues: Queues, job: Job, database: Database) -> None:
    assert alice.delete("get_video", videoId=job.video_id).json["video"]["status"] == "canceled"
    for message in job.messages:
        assert queues.deliver("render", message)
    assert clip_files(database, alice) == set()
    assert {one["status"] for one in job.shown["clips"]} == {"canceled"}


def test_a_clip_that_is_under_way_when_its_video_is_canceled_serves_the_next(  # noqa: PLR0917
    alice: User,
    queues: Queues,
    job: Job,
    database: Database,
    session: JsonObject,
    at_frame: Callable[[int, Callable[[], object]], None],
) -> None:
    def cancel() -> None:
        job.database.execute("update public.final_videos set status = 'canceled' where video_id = %s", (job.video_id,))

    at_frame(12, cancel)
    assert queues.deliver("render", job.messages[0])
    assert queues.take("merge") == []
    assert start(alice, session["sessionId"]).json["finishedClips"] == 1
