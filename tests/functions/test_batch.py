"""batch: many videos at once, within one budget; what is wrong with an item is that item's own affair."""

import uuid
from typing import Any

import httpx
import psycopg
import pytest

from functions.maintenance.handler import handler as maintenance
from infra.local.stack import Stack
from tests.client import Answer, Client, Context, JsonObject, run_handler
from tests.people import User
from tests.shared.image_files import encoded
from tests.storyboards import frame, storyboard
from tests.videos import SMALL, Queues, picture, stored_storyboard

Database = psycopg.Connection[Any]

TEMPLATE: JsonObject = {
    "name": "Greeting",
    "video": SMALL,
    "storyboard": {"style": "flat", "mood": "warm", "videoDuration": 1, "prompt": "Hello {{name}}"},
    "fields": {"properties": {"name": {"type": "string", "maxLength": 20}}, "required": ["name"]},
}


@pytest.fixture
def image(alice: User) -> str:
    """The address of a picture of hers."""
    url: str = alice.upload(encoded(picture(1), "WEBP")).json["imageUrl"]
    return url


@pytest.fixture
def template_id(alice: User) -> str:
    found: str = alice.send("POST", "templates", TEMPLATE).json["template"]["templateId"]
    return found


def frames(image: str) -> list[JsonObject]:
    return [frame(1, image, timestamp="0s", description="For {{name}}")]


def ask(user: Client, items: list[Any], **more: object) -> Answer:
    headers = {"Idempotency-Key": str(more.pop("key"))} if "key" in more else {}
    return user.send("POST", "batch", {"items": items, **more}, headers=headers)


def begun(answer: Answer) -> JsonObject:
    assert answer.status == 202, answer.json
    batch: JsonObject = answer.json
    return batch


def state(user: Client, batch: JsonObject) -> JsonObject:
    answer = user.get("batch", batchId=batch["batchId"])
    assert answer.status == 200, answer.json
    found: JsonObject = answer.json
    return found


def statuses(batch: JsonObject) -> list[str]:
    return [item["status"] for item in batch["items"]]


def codes(batch: JsonObject) -> list[str | None]:
    return [(item["error"] or {}).get("code") for item in batch["items"]]


def test_twenty_rows_with_three_bad_ones_are_seventeen_videos_and_three_explained_failures(
    alice: User, queues: Queues, image: str, template_id: str, database: Database
) -> None:
    rows: list[Any] = [{"templateData": {"name": f"No. {number}"}} for number in range(20)]
    rows[3] = {"templateData": {"name": "far too long for this field"}}
    rows[9] = {"templateData": {"name": "x"}, "frames": [frame(1, "https://elsewhere.example/x.png")]}
    rows[17] = {"templateData": "no object"}
    answer = ask(alice, rows, templateId=template_id, frames=frames(image), tags=["spring"], maxCost=1, parallel=4)
    batch = begun(answer)
    assert statuses(batch).count("failed") == 3
    assert [codes(batch)[place] for place in (3, 9, 17)] == [
        "invalid_template_data", "foreign_image_url", "validation_failed",
    ]  # fmt: skip
    assert batch["items"][3]["error"]["errors"][0]["path"] == "templateData.name"
    assert (batch["counts"]["queued"], batch["counts"]["waiting"]) == (4, 13)
    queues.work()
    batch = state(alice, batch)
    assert batch["counts"] == {"completed": 17, "failed": 3}
    assert (batch["status"], batch["progress"]) == ("completed", 1)
    assert 0 < batch["cost"] <= batch["maxCost"]
    assert all(item["videoUrl"] for item in batch["items"] if item["status"] == "completed")
    tagged = alice.get("history", tag="spring", limit=100).json["sessions"]
    assert len(tagged) == 17
    assert {one["originalPrompt"] for one in tagged} == {f"Hello No. {n}" for n in range(20) if n not in (3, 9, 17)}
    assert {one["videos"][0]["status"] for one in tagged} == {"completed"}
    assert {(one["templateId"], one["videos"][0]["templateVersion"]) for one in tagged} == {(template_id, 1)}
    # What a bad row had begun is undone.
    found = database.execute("select count(*) from public.video_sessions where user_id = %s", (alice.subject,))
    assert found.fetchone() == (17,)


def test_as_many_videos_as_wished_are_rendered_at_once(
    alice: User, queues: Queues, image: str, template_id: str
) -> None:
    rows = [{"templateData": {"name": str(number)}} for number in range(5)]
    batch = begun(ask(alice, rows, templateId=template_id, frames=frames(image), parallel=2))
    assert statuses(batch) == ["queued"] * 2 + ["waiting"] * 3
    first, second = queues.take("render")
    assert queues.deliver("render", first)
    (merge,) = queues.take("merge")
    assert queues.deliver("merge", merge)
    assert statuses(state(alice, batch)) == ["completed", "queued", "queued", "waiting", "waiting"]
    assert queues.deliver("render", second)
    queues.work()
    assert statuses(state(alice, batch)) == ["completed"] * 5


def test_stored_sessions_are_made_into_videos_with_their_own_options(alice: User, queues: Queues) -> None:
    sessions = [stored_storyboard(alice, 1, 1)["sessionId"] for _ in range(2)]
    items: list[JsonObject] = [{"sessionId": sessions[0]}, {"sessionId": sessions[1], "video": {"aspect": "16:9"}}]
    batch = begun(ask(alice, items, video=SMALL))
    queues.work()
    batch = state(alice, batch)
    assert statuses(batch) == ["completed", "completed"]
    videos = [alice.get("get_video", videoId=item["videoId"]).json["video"] for item in batch["items"]]
    assert [(one["width"], one["height"]) for one in videos] == [(480, 480), (854, 480)]


def test_what_is_not_ones_own_fails_alone(alice: User, bob: User, queues: Queues) -> None:
    mine, his = stored_storyboard(alice, 1, 1)["sessionId"], stored_storyboard(bob, 1, 1)["sessionId"]
    without_images = alice.save(storyboard(alice.subject, 1)).json["sessionId"]
    items = [{"sessionId": mine}, {"sessionId": his}, {"sessionId": "none"}, {"sessionId": without_images}, {}, 7, None]
    batch = begun(ask(alice, items, video=SMALL))
    assert codes(batch) == [
        None, "session_not_found", "session_not_found", "frame_image_missing", "validation_failed",
        "validation_failed", "validation_failed",
    ]  # fmt: skip
    assert statuses(batch) == ["queued"] + ["failed"] * 6
    assert all(item["error"]["detail"] for item in batch["items"][1:])
    assert bob.get("batch", batchId=batch["batchId"]).code == "batch_not_found"
    assert bob.send("DELETE", "batch", batchId=batch["batchId"]).code == "batch_not_found"
    assert ask(bob, [], retryBatchId=batch["batchId"]).code == "batch_not_found"


def test_a_budget_that_is_too_small_is_refused_with_the_estimate_before_anything_begins(
    alice: User, queues: Queues, image: str, template_id: str, database: Database
) -> None:
    rows = [{"templateData": {"name": str(number)}} for number in range(3)]
    given = {"templateId": template_id, "frames": frames(image)}
    estimate = ask(alice, rows, **given, dryRun=True)
    assert (estimate.status, estimate.json["itemCount"], estimate.json["errors"]) == (200, 3, {})
    answer = ask(alice, rows, **given, maxCost=estimate.json["estimatedCost"] * 0.9)
    assert (answer.status, answer.code) == (422, "budget_too_small")
    assert answer.json["estimatedCost"] == pytest.approx(estimate.json["estimatedCost"], abs=2e-6)
    assert alice.get("history").json["sessions"] == []
    assert alice.get("batch").json["batches"] == []
    assert queues.take("render") == []
    assert begun(ask(alice, rows, **given, maxCost=estimate.json["estimatedCost"] * 1.1))["counts"] == {"queued": 3}


def test_nothing_further_begins_when_the_budget_is_reached(
    alice: User, queues: Queues, image: str, template_id: str, database: Database
) -> None:
    rows = [{"templateData": {"name": str(number)}} for number in range(4)]
    given = {"templateId": template_id, "frames": frames(image)}
    estimate = ask(alice, rows, **given, dryRun=True).json["estimatedCost"]
    batch = begun(ask(alice, rows, **given, maxCost=estimate * 1.01, parallel=1))
    (first,) = queues.take("render")
    queues.deliver("render", first)
    (merge,) = queues.take("merge")
    # The first one took far more than was thought.
    database.execute(
        "update public.video_clips set cost = %s where session_id = %s",
        (estimate * 0.6, batch["items"][0]["sessionId"]),
    )
    queues.deliver("merge", merge)
    queues.work()
    batch = state(alice, batch)
    assert statuses(batch) == ["completed", "completed", "canceled", "canceled"]
    assert codes(batch) == [None, None, "budget_reached", "budget_reached"]
    assert batch["status"] == "completed"
    again = begun(ask(alice, [], retryBatchId=batch["batchId"], maxCost=estimate * 3))
    assert statuses(again) == ["completed", "completed", "merging", "waiting"]
    assert again["cost"] >= batch["cost"]
    queues.work()
    assert statuses(state(alice, batch)) == ["completed"] * 4


def test_what_is_beyond_the_months_quota_fails_alone(
    alice: User, queues: Queues, image: str, template_id: str, database: Database
) -> None:
    before = database.execute("select amount from private.quotas where name = 'renders_per_month'").fetchone()
    assert before
    database.execute("update private.quotas set amount = 2 where name = 'renders_per_month'")
    try:
        rows = [{"templateData": {"name": f"No. {number}"}} for number in range(4)]
        batch = begun(ask(alice, rows, templateId=template_id, frames=frames(image)))
    finally:
        database.execute("update private.quotas set amount = %s where name = 'renders_per_month'", before)
    assert statuses(batch) == ["queued", "queued", "failed", "failed"]
    assert codes(batch) == [None, None, "quota_exceeded", "quota_exceeded"]
    assert batch["items"][2]["error"]["quota"] == "renders_per_month"
    assert len(alice.get("history").json["sessions"]) == 2, "nothing is left of an item that could not begin"
    queues.work()
    assert state(alice, batch)["counts"] == {"completed": 2, "failed": 2}


def test_a_batch_that_is_canceled_begins_nothing_further(
    alice: User, queues: Queues, image: str, template_id: str
) -> None:
    rows = [{"templateData": {"name": str(number)}} for number in range(3)]
    batch = begun(ask(alice, rows, templateId=template_id, frames=frames(image), parallel=1))
    canceled = alice.send("DELETE", "batch", batchId=batch["batchId"]).json
    assert (canceled["status"], statuses(canceled)) == ("canceled", ["canceled"] * 3)
    queues.work()
    assert statuses(state(alice, batch)) == ["canceled"] * 3
    again = begun(ask(alice, [], retryBatchId=batch["batchId"]))
    assert again["counts"] == {"queued": 1, "waiting": 2}
    queues.work()
    assert statuses(state(alice, batch)) == ["completed"] * 3


def test_canceling_one_video_lets_the_next_one_go(alice: User, queues: Queues, image: str, template_id: str) -> None:
    rows = [{"templateData": {"name": str(number)}} for number in range(2)]
    batch = begun(ask(alice, rows, templateId=template_id, frames=frames(image), parallel=1))
    alice.send("DELETE", "get_video", videoId=batch["items"][0]["videoId"])
    assert statuses(state(alice, batch)) == ["canceled", "queued"]
    queues.work()
    assert statuses(state(alice, batch)) == ["canceled", "completed"]


def test_only_what_failed_is_made_again(
    alice: User, queues: Queues, image: str, template_id: str, stack: Stack
) -> None:
    other = alice.upload(encoded(picture(2), "WEBP"), 2).json["imageUrl"]
    rows: list[JsonObject] = [
        {"templateData": {"name": "a"}},
        {"templateData": {"name": "b"}, "frames": frames(other)},
        {"templateData": {}},
    ]
    batch = begun(ask(alice, rows, templateId=template_id, frames=frames(image)))
    removed = httpx.delete(
        other.replace("/object/public/", "/object/"),
        headers={"Authorization": f"Bearer {alice.token}", "apikey": stack.info["anonKey"]},
    )
    assert removed.status_code == 200
    queues.work()
    assert statuses(state(alice, batch)) == ["completed", "failed", "failed"]
    assert codes(state(alice, batch))[1] == "frame_image_missing"
    assert alice.upload(encoded(picture(2), "WEBP"), 2).json["imageUrl"] == other
    again = begun(ask(alice, [], retryBatchId=batch["batchId"]))
    assert codes(again) == [None, None, "invalid_template_data"]
    assert again["items"][0]["videoId"] == batch["items"][0]["videoId"]
    assert again["items"][1]["videoId"] != batch["items"][1]["videoId"]
    queues.work()
    assert statuses(state(alice, batch)) == ["completed", "completed", "failed"]


def test_a_repeated_request_begins_nothing_twice(alice: User, queues: Queues, image: str, template_id: str) -> None:
    rows = [{"templateData": {"name": "a"}}]
    given = {"templateId": template_id, "frames": frames(image)}
    first, again = (begun(ask(alice, rows, **given, key="k")) for _ in range(2))
    assert first["batchId"] == again["batchId"]
    assert ask(alice, rows * 2, **given, key="k").code == "idempotency_key_reused"
    assert len(alice.get("history").json["sessions"]) == 1
    queues.work()
    assert statuses(state(alice, first)) == ["completed"]


def test_batches_are_listed_newest_first(alice: User, bob: User, queues: Queues) -> None:
    made = [begun(ask(alice, [{"sessionId": "none"}], tags=[f"t{n}"]))["batchId"] for n in range(3)]
    page = alice.get("batch", limit=2).json
    rest = alice.get("batch", limit=2, cursor=page["nextCursor"]).json
    assert [one["batchId"] for one in page["batches"] + rest["batches"]] == made[::-1]
    assert rest["nextCursor"] is None
    assert bob.get("batch").json["batches"] == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "items"),
        ({"items": []}, "items"),
        ({"items": [{}] * 101}, "items"),
        ({"items": "x"}, "items"),
        ({"items": [{}], "retryBatchId": str(uuid.uuid4())}, "items"),
        ({"items": [{}], "maxCost": 0}, "maxCost"),
        ({"items": [{}], "maxCost": 3.4e-212}, "maxCost"),
        ({"items": [{}], "maxCost": 1e6}, "maxCost"),
        ({"items": [{}], "tags": [" "]}, "tags[0]"),
        ({"items": [{}], "video": {"fps": 1}}, "video.fps"),
        ({"items": [{}], "frames": [{}]}, "frames[0].imageUrl"),
    ],
)
def test_a_request_that_means_nothing_is_refused_by_name(alice: User, body: JsonObject, path: str) -> None:
    answer = alice.send("POST", "batch", body)
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert path in [error["path"] for error in answer.json["errors"]]


def test_guests_have_no_batches(guest: Client, queues: Queues) -> None:
    for answer in (
        ask(guest, [{"sessionId": "none"}]),
        guest.get("batch"),
        guest.get("batch", batchId=uuid.uuid4()),
        guest.delete("batch", batchId=uuid.uuid4()),
    ):
        assert (answer.status, answer.code) == (403, "account_required")


def test_a_lost_message_of_an_end_is_made_up_for(
    alice: User, queues: Queues, image: str, template_id: str, database: Database
) -> None:
    rows = [{"templateData": {"name": str(number)}} for number in range(2)]
    batch = begun(ask(alice, rows, templateId=template_id, frames=frames(image), parallel=1))
    queues.take("render")
    # It has ended, and whoever did it was gone before it could let the next one go.
    failed = "update public.final_videos set status = 'failed' where video_id = %s"
    database.execute(failed, (batch["items"][0]["videoId"],))
    report = run_handler(maintenance, {"only": "messages"}, Context(seconds=60))
    assert report["lostRenderings"] >= 1
    assert statuses(state(alice, batch)) == ["failed", "queued"]
    queues.work()
    assert statuses(state(alice, batch)) == ["failed", "completed"]
