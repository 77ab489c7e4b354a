"""render_clip: one clip for each message, however often it comes; and what becomes of one that cannot be rendered."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest

from infra.local.stack import Stack
from shared import leases
from shared.supabase_access import Access
from tests.client import Context, JsonObject
from tests.faults import FaultyUpstream
from tests.people import User
from tests.shared.image_files import encoded
from tests.storyboards import frame, with_frames
from tests.videos import (
    Job,
    Queues,
    dead,
    fetched,
    fill_disk,
    picture,
    record,
    remove,
    spoil,
    start,
    status_of,
    stored_storyboard,
    watch_clip,
)

Database = psycopg.Connection[Any]
TOP = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("temporary")


@pytest.fixture
def session(alice: User) -> JsonObject:
    return stored_storyboard(alice, 2, 2)


@pytest.fixture
def job(alice: User, queues: Queues, database: Database, session: JsonObject) -> Job:
    return Job(alice, queues, database, session["sessionId"])


def files(database: Database, user: User) -> set[str]:
    query = "select name from storage.objects where name like %s"
    return {name for (name,) in database.execute(query, (f"{user.subject}/clips/%",)).fetchall()}


def test_a_clip_is_rendered_and_stored(alice: User, queues: Queues, job: Job, database: Database) -> None:
    assert queues.deliver("render", job.messages[0])
    clip, other = job.shown["clips"]
    assert (clip["status"], clip["attempts"], clip["error"]) == ("completed", 1, None)
    assert other["status"] == "queued"
    shown = watch_clip(fetched(clip["videoUrl"]), frames=24, fps=24, size=(480, 480))
    assert shown.shows(12, picture(1)) > 0.9
    assert shown.shows(12, picture(2)) < 0.6
    row = job.row(1)
    assert row["cost"] > 0
    assert row["timings"].keys() == {"render", "store", "cpu"}
    assert job.shown["video"]["status"] == "rendering"
    assert job.shown["video"]["progress"] == pytest.approx(0.45)


def test_the_last_clip_sends_the_merge_and_no_other_does(queues: Queues, job: Job) -> None:
    assert queues.deliver("render", job.messages[1])
    assert queues.take("merge") == []
    assert queues.deliver("render", job.messages[0])
    [message] = queues.take("merge")
    assert (
        message["messageAttributes"]["requestId"]["stringValue"]
        == (job.messages[0]["messageAttributes"]["requestId"]["stringValue"])
    )
    assert (job.shown["video"]["status"], job.shown["video"]["progress"]) == ("merging", 0.9)


def test_a_repeated_message_changes_nothing(alice: User, queues: Queues, job: Job, database: Database) -> None:
    queues.deliver("render", job.messages[0])
    before, stored = job.row(1), files(database, alice)
    again = record(json.loads(job.messages[0]["body"]), "render")
    assert queues.deliver("render", job.messages[0])
    assert queues.deliver("render", again)
    assert queues.deliver("render", dead(job.messages[0]))
    assert (job.row(1), files(database, alice)) == (before, stored)


def test_a_repeat_sends_the_merge_again_whose_message_was_lost(queues: Queues, job: Job) -> None:
    for message in job.messages:
        queues.deliver("render", message)
    queues.take("merge")
    assert queues.deliver("render", job.messages[0])
    assert len(queues.take("merge")) == 1


def test_a_message_of_no_clip_is_ignored(queues: Queues) -> None:
    assert queues.deliver("render", record({"clipId": 2_000_000_000}, "render"))


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
    assert files(database, alice) == set()


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


def test_a_frame_whose_image_is_gone_fails_the_video_by_its_number(
    alice: User, queues: Queues, job: Job, session: JsonObject, database: Database
) -> None:
    remove(database, session["frames"][1]["imageUrl"])
    assert queues.deliver("render", job.messages[1])
    found = job.shown
    assert found["video"]["status"] == "failed"
    error = found["video"]["error"]
    assert (error["code"], error["frameNumber"]) == ("frame_image_missing", 2)
    assert "2" not in error["detail"] and error["detail"]
    for message in job.messages:
        assert queues.deliver("render", message)
    assert status_of(database, session["sessionId"]) == "failed"


def test_what_fails_ends_the_video_and_keeps_what_is_finished(
    queues: Queues, job: Job, session: JsonObject, database: Database
) -> None:
    assert queues.deliver("render", job.messages[0])
    remove(database, session["frames"][1]["imageUrl"])
    assert queues.deliver("render", job.messages[1])
    found = job.shown
    assert [one["status"] for one in found["clips"]] == ["completed", "failed"]
    assert found["clips"][1]["error"]["code"] == "frame_image_missing"
    assert (found["video"]["status"], found["video"]["error"]["frameNumber"]) == ("failed", 2)
    assert found["video"]["cost"] > 0
    assert found["video"]["etaSeconds"] is None


def test_an_image_that_is_damaged_is_blamed_on_its_frame(
    alice: User, queues: Queues, database: Database, stack: Stack
) -> None:
    url = alice.upload(encoded(picture(1), "WEBP")).json["imageUrl"]
    saved = alice.save(with_frames([frame(4, url)], videoDuration=1)).json
    job = Job(alice, queues, database, saved["sessionId"])
    spoil(stack, url.rpartition("/videomaker/")[2])
    assert queues.deliver("render", job.messages[0])
    error = job.shown["video"]["error"]
    assert (error["code"], error["frameNumber"]) == ("frame_unreadable", 4)


def test_a_predecessors_image_that_is_gone_is_blamed_on_the_predecessor(
    alice: User, queues: Queues, database: Database, session: JsonObject
) -> None:
    job = Job(alice, queues, database, session["sessionId"], transition="crossfade")
    remove(database, session["frames"][0]["imageUrl"])
    assert queues.deliver("render", job.messages[1])
    error = job.shown["video"]["error"]
    assert (error["code"], error["frameNumber"]) == ("frame_image_missing", 1)


def test_storage_that_fails_every_third_call_only_delays(
    alice: User, upstream: FaultyUpstream, queues: Queues, session: JsonObject, database: Database
) -> None:
    job = Job(alice, queues, database, session["sessionId"])
    with upstream.failing("/storage/", "error_500", every=3):
        for message in job.messages:
            assert any(queues.deliver("render", message) for _ in range(3))
    assert [one["status"] for one in job.shown["clips"]] == ["completed", "completed"]
    assert job.shown["video"]["error"] is None


def test_an_answer_of_the_database_that_was_lost_does_not_count_twice(
    alice: User, upstream: FaultyUpstream, queues: Queues, session: JsonObject, database: Database
) -> None:
    job = Job(alice, queues, database, session["sessionId"])
    with upstream.failing("/rest/v1/rpc/settle_clip", "refuse_after"):
        assert not queues.deliver("render", job.messages[0])
        assert not queues.deliver("render", job.messages[1])
    assert queues.take("merge") == []
    assert all(queues.deliver("render", message) for message in job.messages)
    assert len(queues.take("merge")) == 2, "each repeat may send it; the merge is claimed once"
    assert len(files(database, alice)) == 2


def test_three_failed_tries_fail_the_video_with_the_last_cause(
    alice: User, upstream: FaultyUpstream, queues: Queues, session: JsonObject, database: Database
) -> None:
    job = Job(alice, queues, database, session["sessionId"])
    with upstream.failing(f"/storage/v1/object/videomaker/{alice.subject}/clips/", "error_502_html"):
        assert [queues.deliver("render", job.messages[1]) for _ in range(3)] == [False] * 3
        assert job.shown["video"]["status"] == "rendering"
        assert queues.deliver("render", dead(job.messages[1]))
    found = job.shown
    error = found["video"]["error"]
    assert (found["video"]["status"], error["code"], error["frameNumber"]) == ("failed", "storage_unavailable", 2)
    assert [one["status"] for one in found["clips"]] == ["canceled", "failed"]
    assert found["clips"][1]["attempts"] == 3


def test_a_worker_that_was_killed_three_times_fails_the_clip(queues: Queues, job: Job) -> None:
    job.change(1, "status = 'rendering', attempts = 3, claimed_by = 'lost', leased_until = now() - interval '1 second'")
    assert queues.deliver("render", dead(job.messages[0]))
    error = job.shown["video"]["error"]
    assert (error["code"], error["frameNumber"]) == ("rendering_failed", 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_temporary_folder_fails_the_clip_with_the_reason(
    queues: Queues, job: Job, monkeypatch: pytest.MonkeyPatch, database: Database, alice: User
) -> None:
    fill_disk(monkeypatch)
    assert [queues.deliver("render", job.messages[0]) for _ in range(3)] == [False] * 3
    assert queues.deliver("render", dead(job.messages[0]))
    error = job.shown["video"]["error"]
    assert (error["code"], error["frameNumber"]) == ("worker_full", 1)
    assert files(database, alice) == set()


def test_a_clip_that_takes_too_long_is_given_up_in_time(queues: Queues, job: Job) -> None:
    queues.context = Context(seconds=15)
    assert queues.deliver("render", job.messages[0])
    error = job.shown["video"]["error"]
    assert (error["code"], error["frameNumber"]) == ("clip_too_long", 1)


def test_clips_of_a_canceled_video_are_not_begun(alice: User, queues: Queues, job: Job, database: Database) -> None:
    assert alice.delete("get_video", videoId=job.video_id).json["video"]["status"] == "canceled"
    for message in job.messages:
        assert queues.deliver("render", message)
    assert files(database, alice) == set()
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


def test_what_a_killed_worker_left_behind_is_cleared_away(queues: Queues, job: Job, temporary: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid in (gone.pid, os.getpid()):
        left = temporary / f"videomaker-work-{pid}-abc"
        left.mkdir()
        (left / "out.mp4").write_bytes(b"half")
    at_work = temporary / f"videomaker-work-{os.getppid()}-abc"
    at_work.mkdir()
    assert queues.deliver("render", job.messages[0])
    assert list(temporary.iterdir()) == [at_work]
    at_work.rmdir()


def test_an_equal_clip_of_the_same_owner_is_not_rendered_again(
    alice: User, queues: Queues, job: Job, session: JsonObject, database: Database
) -> None:
    second = Job(alice, queues, database, session["sessionId"])
    for message in job.messages:
        assert queues.deliver("render", message)
    stored = files(database, alice)
    queues.take("merge")
    for message in second.messages:
        assert queues.deliver("render", message)
    assert files(database, alice) == stored
    assert [one["attempts"] for one in second.shown["clips"]] == [0, 0]
    assert len(queues.take("merge")) == 1


def test_a_finished_clip_whose_file_is_gone_is_rendered_again(
    alice: User, queues: Queues, job: Job, session: JsonObject, database: Database
) -> None:
    for message in job.messages:
        assert queues.deliver("render", message)
    remove(database, job.row(1)["video_path"])
    database.execute(
        "update storage.objects set owner_id = %s where name = %s", (alice.subject, job.row(2)["video_path"])
    )
    again = start(alice, session["sessionId"], dryRun=True)
    assert again.json["finishedClips"] == 0, "a file that its owner may have put there is none of ours"


def test_nobody_elses_clips_are_taken(alice: User, bob: User, queues: Queues, job: Job, database: Database) -> None:
    for message in job.messages:
        assert queues.deliver("render", message)
    hashes = [job.row(number)["content_hash"] for number in (1, 2)]
    for owner, expected in ((alice, True), (bob, False)):
        query = "select private.finished_clip(%s, %s) is not null"
        assert [database.execute(query, (owner.subject, one)).fetchone() for one in hashes] == [(expected,)] * 2


MEASURE = """
import json, sys
from functions.render_clip.handler import handler
from infra.local.fuzz import peak_bytes
from tests.client import Context
answer = handler(json.loads(sys.argv[1]), Context(seconds=600, memory_limit_in_mb=3008))
print(json.dumps([answer, peak_bytes() / 2**20]))
"""


def test_a_worker_needs_less_than_700_megabytes_at_1080p(
    alice: User, queues: Queues, database: Database, temporary: Path
) -> None:
    urls = [alice.upload(encoded(picture(number, (1920, 1200)), "WEBP"), number).json["imageUrl"] for number in (1, 2)]
    saved = alice.save(with_frames([frame(number, url) for number, url in enumerate(urls, 1)], videoDuration=2)).json
    options: JsonObject = {"resolution": 1080, "aspect": "16:9", "motion": "auto", "fit": "contain"}
    job = Job(alice, queues, database, saved["sessionId"], transition="crossfade", **options)
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps({"Records": [job.messages[1]]})],
        cwd=TOP,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=True,
    )
    answer, peak = json.loads(run.stdout.splitlines()[-1])
    assert answer == {"batchItemFailures": []}, run.stdout
    assert job.row(2)["status"] == "completed"
    assert peak < 700


def test_two_batches_of_unknown_bodies_do_not_fail_the_others(queues: Queues, job: Job) -> None:
    bad = {**record({}, "render"), "body": "no json"}
    assert not queues.deliver("render", bad)
    assert not queues.deliver("render", record({"other": str(uuid.uuid4())}, "render"))
    assert queues.deliver("render", job.messages[0])
