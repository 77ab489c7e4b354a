"""webhooks: deliveries are listed, tried out and made again."""

from typing import Any

import psycopg
import pytest

from shared.paging import cursor_behind
from shared.settings import settings
from tests.people import User
from tests.webhooks import HOOK, Queue, act, endpoint, finished_video, log_of, read, row

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("queue")  # nobody else delivers what is announced here


# Lists


def test_lists_are_paged_without_loss_or_repetition(alice: User, database: Database) -> None:
    made = [endpoint(alice, f"{HOOK}/{number}", events=["video.failed"])[0] for number in range(5)]
    assert pages(alice, "endpoints") == [made[4:2:-1], made[2:0:-1], made[:1]]
    endpoint_id, _ = endpoint(alice, events=["video.completed"])
    videos = [finished_video(database, alice) for _ in range(5)]
    listed = pages(alice, "deliveries", endpointId=endpoint_id)
    assert [len(page) for page in listed] == [2, 2, 1]
    shown = [one["videoId"] for one in log_of(alice, endpoint_id)]
    assert shown == videos[::-1]


def pages(user: User, name: str, **query: object) -> list[list[str]]:
    found = []
    named = {"endpoints": "endpointId", "deliveries": "deliveryId"}[name]
    cursor: dict[str, object] = {}
    while True:
        answer = read(user, limit=2, **query, **cursor).json
        found.append([one[named] for one in answer[name]])
        if answer["nextCursor"] is None:
            return found
        cursor = {"cursor": answer["nextCursor"]}


@pytest.mark.parametrize("cursor", ["x", "AAAA", cursor_behind("webhook_deliveries", 1), cursor_behind("frames", 1)])
def test_a_cursor_of_another_list_is_refused(alice: User, cursor: str) -> None:
    assert read(alice, cursor=cursor).code == "invalid_cursor"


def test_a_cursor_behind_everything_finds_nothing(alice: User) -> None:
    endpoint(alice)
    for number, count in ((2**63 - 1, 1), (0, 0)):
        answer = read(alice, cursor=cursor_behind("webhook_endpoints", number))
        assert len(answer.json["endpoints"]) == count


def test_the_deliveries_of_one_video_are_found(alice: User, database: Database) -> None:
    endpoint_id, _ = endpoint(alice)
    wanted, _ = (finished_video(database, alice, webhookUrl=HOOK + "/one-off") for _ in range(2))
    found = read(alice, videoId=wanted).json
    assert found["endpoint"] is None
    assert {(one["endpointId"], one["url"]) for one in found["deliveries"]} == {
        (endpoint_id, None),
        (None, HOOK + "/one-off"),
    }
    assert {one["videoId"] for one in found["deliveries"]} == {wanted}
    assert [one["videoId"] for one in log_of(alice, endpoint_id, videoId=wanted)] == [wanted]


# Trying out, and again


def test_a_ping_is_a_delivery_on_its_way(alice: User, queue: Queue) -> None:
    endpoint_id, _ = endpoint(alice, events=["video.failed"])
    pinged = act(alice, "ping", endpointId=endpoint_id).json["delivery"]
    assert (pinged["type"], pinged["status"], pinged["attempts"]) == ("ping", "pending", 0)
    assert pinged["payload"]["data"] == {"endpointId": endpoint_id}
    assert queue.take() == [{"deliveryId": pinged["deliveryId"], "attempts": 0}]
    assert log_of(alice, endpoint_id) == [pinged]


def test_what_is_delivered_again_is_the_same_event_once_more(alice: User, database: Database, queue: Queue) -> None:
    endpoint_id, _ = endpoint(alice)
    finished_video(database, alice)
    [first] = log_of(alice, endpoint_id)
    again = act(alice, "redeliver", deliveryId=first["deliveryId"]).json["delivery"]
    assert again["deliveryId"] != first["deliveryId"]
    for same in ("eventId", "type", "payload", "endpointId", "videoId"):
        assert again[same] == first[same]
    assert again["redeliveryOf"] == first["deliveryId"]
    assert queue.take() == [{"deliveryId": again["deliveryId"], "attempts": 0}]
    assert [one["deliveryId"] for one in log_of(alice, endpoint_id)] == [again["deliveryId"], first["deliveryId"]]


def test_a_disabled_endpoint_gets_neither_pings_nor_repeats_nor_events(alice: User, database: Database) -> None:
    endpoint_id, _ = endpoint(alice)
    finished_video(database, alice)
    [delivery] = log_of(alice, endpoint_id)
    act(alice, "update", endpointId=endpoint_id, enabled=False)
    for refused in (
        act(alice, "ping", endpointId=endpoint_id),
        act(alice, "redeliver", deliveryId=delivery["deliveryId"]),
    ):
        assert (refused.status, refused.code) == (409, "webhook_disabled")
    finished_video(database, alice)
    assert len(log_of(alice, endpoint_id)) == 1


def test_a_ping_is_kept_while_the_queue_is_down(
    alice: User, database: Database, function_environment: pytest.MonkeyPatch
) -> None:
    endpoint_id, _ = endpoint(alice)
    function_environment.setenv("WEBHOOK_QUEUE_URL", "http://127.0.0.1:9/000000000000/nowhere")
    settings.cache_clear()
    pinged = act(alice, "ping", endpointId=endpoint_id)
    assert pinged.status == 200
    assert row(database, pinged.json["delivery"]["deliveryId"])["status"] == "pending"
