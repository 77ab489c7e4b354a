"""deliver_webhook: when a delivery is tried again, and when no more."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import psycopg
import pytest

from functions.deliver_webhook import handler as module
from tests.people import User
from tests.receivers import Receiver
from tests.webhooks import Queue, act, deliver, endpoint, finished_video, log_of, outbox, pending, verified

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("queue")  # nobody else delivers what is announced here


def test_waits_grow_fourfold_to_four_hours_and_differ() -> None:
    expected = [5, 20, 80, 320, 1280, 5120, 14400, 14400, 14400]
    for attempts, wait in enumerate(expected, start=1):
        found = {module.next_wait(attempts, 0) for _ in range(300)}
        assert all(one is not None and 0.7 * wait <= one <= 1.3 * wait for one in found), (attempts, found)
        assert len(found) > 1


def test_it_is_tried_for_a_day_and_not_longer() -> None:
    for _ in range(50):
        age, attempts = 0.0, 0
        while True:
            attempts += 1
            wait = module.next_wait(attempts, age)
            if wait is None:
                break
            age += wait
        assert 24 * 3600 <= age <= 24 * 3600 + 60
        assert 10 <= attempts <= 16


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_asks_for_time_gets_it(
    alice: User, database: Database, receiver: Receiver, status: int
) -> None:
    endpoint_id, _ = endpoint(alice, receiver.url)
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=7200), usegmt=True)
    for asked, least, most in [("3600", 3600, 3600), (date, 7100, 7200), ("1", 3, 7), ("soon", 3, 7), ("-5", 3, 7)]:
        receiver.status, receiver.answer_headers = status, {"Retry-After": asked}
        finished_video(database, alice)
        deliver(pending(database, alice))
        stored = log_of(alice, endpoint_id)[0]
        waits = datetime.fromisoformat(stored["nextAttemptAt"]) - datetime.fromisoformat(stored["attemptedAt"])
        assert least <= waits.total_seconds() <= most, asked


def test_asking_for_a_year_gets_a_day(alice: User, database: Database, receiver: Receiver) -> None:
    receiver.status, receiver.answer_headers = 429, {"Retry-After": "99999999999999999999"}
    endpoint_id, _ = endpoint(alice, receiver.url)
    finished_video(database, alice)
    deliver(pending(database, alice))
    stored = log_of(alice, endpoint_id)[0]
    waits = datetime.fromisoformat(stored["nextAttemptAt"]) - datetime.fromisoformat(stored["attemptedAt"])
    assert 86_300 <= waits.total_seconds() <= 86_402


def test_after_a_day_it_has_failed_and_can_be_delivered_again_on_demand(
    alice: User, database: Database, receiver: Receiver, queue: Queue
) -> None:
    receiver.status = 500
    endpoint_id, secret = endpoint(alice, receiver.url)
    finished_video(database, alice)
    delivery_id = pending(database, alice)
    database.execute(
        "update public.webhook_deliveries set created_at = now() - interval '1 day' where delivery_id = %s",
        (delivery_id,),
    )
    assert deliver(delivery_id)
    [stored] = log_of(alice, endpoint_id)
    assert (stored["status"], stored["error"], stored["nextAttemptAt"]) == ("failed", "bad_status", None)
    assert queue.take() == []
    assert deliver(delivery_id), "a late message changes nothing"
    assert len(receiver.received) == 1
    receiver.status = 200
    again = act(alice, "redeliver", deliveryId=delivery_id).json["delivery"]["deliveryId"]
    assert deliver(again)
    assert verified(secret, receiver.received[1])
    assert receiver.received[1].headers["webhook-id"] == receiver.received[0].headers["webhook-id"]
    assert [one["status"] for one in log_of(alice, endpoint_id)] == ["delivered", "failed"]


def test_gone_disables_the_endpoint_and_what_waits_for_it_fails(
    alice: User, database: Database, receiver: Receiver
) -> None:
    receiver.status = 410
    endpoint_id, _ = endpoint(alice, receiver.url)
    first, second = (finished_video(database, alice) for _ in range(2))
    for one in outbox(database, alice):
        assert deliver(one["delivery_id"])
    by_video = {one["videoId"]: one for one in log_of(alice, endpoint_id)}
    assert (by_video[first]["status"], by_video[first]["statusCode"]) == ("failed", 410)
    assert (by_video[second]["status"], by_video[second]["error"]) == ("failed", "endpoint_disabled")
    assert len(receiver.received) == 1
    found = alice.get("webhooks").json["endpoints"][0]
    assert (found["enabled"], found["disabledReason"]) == (False, "gone")
    finished_video(database, alice)
    assert len(outbox(database, alice)) == 2
    enabled = act(alice, "update", endpointId=endpoint_id, enabled=True).json["endpoint"]
    assert (enabled["enabled"], enabled["disabledReason"], enabled["failures"]) == (True, None, 0)


def test_an_endpoint_where_nothing_gets_through_for_a_day_is_disabled(
    alice: User, database: Database, receiver: Receiver
) -> None:
    receiver.status = 500
    endpoint_id, _ = endpoint(alice, receiver.url)

    def fail() -> dict[str, Any]:
        finished_video(database, alice)
        deliver(pending(database, alice))
        found: dict[str, Any] = alice.get("webhooks").json["endpoints"][0]
        return found

    for count in range(1, 26):
        found = fail()
        assert (found["failures"], found["enabled"]) == (count, True), "many failures in a short time are one outage"
    database.execute(
        "update public.webhook_endpoints set failures = 18, failing_since = now() - interval '25 hours'"
        " where endpoint_id = %s",
        (endpoint_id,),
    )
    assert fail()["enabled"] is True, "few failures in a long time are too little to judge by"
    found = fail()
    assert (found["failures"], found["enabled"], found["disabledReason"]) == (20, False, "failing")


def test_one_success_and_all_failures_before_are_forgotten(alice: User, database: Database, receiver: Receiver) -> None:
    endpoint(alice, receiver.url)
    for status, failures in [(500, 1), (500, 2), (200, 0), (500, 1)]:
        receiver.status = status
        finished_video(database, alice)
        deliver(pending(database, alice))
        found = alice.get("webhooks").json["endpoints"][0]
        assert found["failures"] == failures
        assert (found["failingSince"] is None) == (failures == 0)
