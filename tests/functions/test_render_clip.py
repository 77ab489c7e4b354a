"""render_clip: one clip for each message, however often it comes."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.client import JsonObject
from tests.people import User
from tests.shared.image_files import encoded
from tests.storyboards import frame, with_frames
from tests.videos import Job, Queues, clip_files, dead, fetched, picture, record, remove, start, watch_clip

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("temporary")
TOP = Path(__file__).parents[2]


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
    before, stored = job.row(1), clip_files(database, alice)
    again = record(json.loads(job.messages[0]["body"]), "render")
    assert queues.deliver("render", job.messages[0])
    assert queues.deliver("render", again)
    assert queues.deliver("render", dead(job.messages[0]))
    assert (job.row(1), clip_files(database, alice)) == (before, stored)


def test_a_repeat_sends_the_merge_again_whose_message_was_lost(queues: Queues, job: Job) -> None:
    for message in job.messages:
        queues.deliver("render", message)
    queues.take("merge")
    assert queues.deliver("render", job.messages[0])
    assert len(queues.take("merge")) == 1


def test_a_message_of_no_clip_is_ignored(queues: Queues) -> None:
    assert queues.deliver("render", record({"clipId": 2_000_000_000}, "render"))


def test_an_equal_clip_of_the_same_owner_is_not_rendered_again(
    alice: User, queues: Queues, job: Job, session: JsonObject, database: Database
) -> None:
    second = Job(alice, queues, database, session["sessionId"])
    for message in job.messages:
        assert queues.deliver("render", message)
    stored = clip_files(database, alice)
    queues.take("merge")
    for message in second.messages:
        assert queues.deliver("render", message)
    assert clip_files(database, alice) == stored
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
