"""deliver_webhook: the queue is told of what is due, by who caused it, else by the sweep."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import psycopg
import pytest

from functions.maintenance.handler import handler as maintenance
from infra.local.stack import Stack
from shared.deliveries import announce_pending
from shared.settings import settings
from shared.supabase_access import as_service
from tests.client import Context, run_handler
from tests.faults import FaultyUpstream
from tests.people import User
from tests.receivers import Receiver
from tests.webhooks import Queue, claim, deliver, endpoint, finished_video, log_of, outbox, pending, row

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("queue")  # nobody else delivers what is announced here


def test_whoever_caused_events_tells_the_queue_of_each_once_oldest_first(
    alice: User, database: Database, queue: Queue
) -> None:
    settle_all(database)
    endpoint(alice)
    for _ in range(12):
        finished_video(database, alice)
    expected = [{"deliveryId": one["delivery_id"], "attempts": 0} for one in outbox(database, alice)]
    with ThreadPoolExecutor(4) as together:
        counts = list(together.map(lambda _: copy_context().run(announce_pending, as_service()), range(4)))
    assert sum(counts) == 12
    sent = queue.take()
    assert sorted(sent, key=str) == sorted(expected, key=str)
    assert announce_pending(as_service()) == 0


def settle_all(database: Database) -> None:
    """Leave nothing due of other tests."""
    database.execute("update public.webhook_deliveries set status = 'failed' where status in ('pending', 'delivering')")


def test_one_announcer_keeps_the_order_of_the_events(alice: User, database: Database, queue: Queue) -> None:
    settle_all(database)
    endpoint(alice)
    for _ in range(5):
        finished_video(database, alice)
    assert announce_pending(as_service()) == 5
    assert [one["deliveryId"] for one in queue.take()] == [one["delivery_id"] for one in outbox(database, alice)]


def test_a_lost_message_and_a_lost_worker_are_found_by_the_sweep(
    alice: User, database: Database, receiver: Receiver, queue: Queue
) -> None:
    settle_all(database)
    endpoint(alice, receiver.url)
    for _ in range(2):
        finished_video(database, alice)
    lost, stuck = (one["delivery_id"] for one in outbox(database, alice))
    assert announce_pending(as_service()) == 2
    queue.take()  # both messages are lost
    claim(stuck, "dies")
    assert sweep()["announced"] == 0, "they have their time"
    database.execute("update public.webhook_deliveries set announce_at = now(), leased_until = now()")
    assert sweep(dryRun=True)["announced"] == 0
    assert sweep()["announced"] == 2
    for body in queue.take():
        assert deliver(body["deliveryId"], body["attempts"])
    assert {row(database, one)["status"] for one in (lost, stuck)} == {"delivered"}
    assert sweep()["announced"] == 0


def sweep(**event: object) -> dict[str, int]:
    report = run_handler(maintenance, event, Context(seconds=300))
    found: dict[str, int] = report["webhookDeliveries"]
    return found


def test_what_waits_for_its_next_attempt_is_left_to_its_message_and_then_to_the_sweep(
    alice: User, database: Database, receiver: Receiver
) -> None:
    settle_all(database)
    receiver.status = 500
    endpoint(alice, receiver.url)
    finished_video(database, alice)
    delivery_id = pending(database, alice)
    deliver(delivery_id)
    assert announce_pending(as_service()) == 0
    database.execute("update public.webhook_deliveries set next_attempt_at = next_attempt_at - interval '20 minutes',"
                     " announce_at = announce_at - interval '20 minutes'")  # fmt: skip
    assert announce_pending(as_service()) == 1


@pytest.mark.parametrize("queue_url", ["http://127.0.0.1:9/000000000000/nowhere", ""])
def test_a_queue_that_is_down_or_absent_fails_nobody(
    alice: User, database: Database, function_environment: pytest.MonkeyPatch, queue_url: str
) -> None:
    endpoint(alice)
    finished_video(database, alice)
    function_environment.setenv("WEBHOOK_QUEUE_URL", queue_url)
    settings.cache_clear()
    announce_pending(as_service())
    assert row(database, pending(database, alice))["status"] == "pending"


def test_a_database_that_is_down_fails_no_announcer(
    stack: Stack, function_environment: pytest.MonkeyPatch, queue: Queue
) -> None:
    upstream = FaultyUpstream(stack.info["supabaseUrl"])
    function_environment.setenv("SUPABASE_URL", upstream.url)
    settings.cache_clear()
    with upstream.failing("/rest/", "error_500"):
        assert announce_pending(as_service()) == 0
    upstream.close()


def test_the_log_is_kept_for_thirty_days(alice: User, database: Database) -> None:
    endpoint_id, _ = endpoint(alice)
    for _ in range(2):
        finished_video(database, alice)
    old, young = (one["delivery_id"] for one in outbox(database, alice))
    database.execute(
        "update public.webhook_deliveries set created_at = now() - interval '31 days' where delivery_id = %s", (old,)
    )
    assert sweep(dryRun=True)["forgotten"] == 1
    assert sweep()["forgotten"] == 1
    assert [one["deliveryId"] for one in log_of(alice, endpoint_id)] == [young]
