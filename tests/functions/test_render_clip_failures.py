"""render_clip: what becomes of a clip that cannot be rendered, and of its video."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.local.stack import Stack
from tests.client import Context, JsonObject
from tests.faults import FaultyUpstream
from tests.people import User
from tests.shared.image_files import encoded
from tests.storyboards import frame, with_frames
from tests.videos import Job, Queues, clip_files, dead, fill_disk, picture, remove, spoil, status_of

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("temporary")


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
    assert len(clip_files(database, alice)) == 2


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
    assert clip_files(database, alice) == set()


def test_a_clip_that_takes_too_long_is_given_up_in_time(queues: Queues, job: Job) -> None:
    queues.context = Context(seconds=15)
    assert queues.deliver("render", job.messages[0])
    error = job.shown["video"]["error"]
    assert (error["code"], error["frameNumber"]) == ("clip_too_long", 1)


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
