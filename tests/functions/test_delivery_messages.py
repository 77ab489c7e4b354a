"""deliver_webhook: messages come at least once and in any order; deliveries are made once."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import psycopg
import pytest

from functions.deliver_webhook import handler as module
from infra.local.stack import Stack
from shared.settings import settings
from tests.client import Context, run_handler
from tests.faults import FaultyUpstream
from tests.people import User
from tests.receivers import Receiver
from tests.webhooks import Queue, claim, deliver, endpoint, finished_video, message, pending, row

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("queue")  # nobody else delivers what is announced here
SAMPLE = Path(__file__).parents[1] / "events" / "deliver_webhook_sqs.json"


def test_a_repeated_message_delivers_nothing_twice(alice: User, database: Database, receiver: Receiver) -> None:
    endpoint(alice, receiver.url)
    finished_video(database, alice)
    delivery_id = pending(database, alice)
    assert all(deliver(delivery_id, message_id=name) for name in ("a", "a", "b"))
    assert len(receiver.received) == 1
    assert row(database, delivery_id)["attempts"] == 1


def test_messages_at_once_deliver_once(alice: User, database: Database, receiver: Receiver, hasty: None) -> None:
    receiver.manner = "hang"  # so that one has it while the others come
    endpoint(alice, receiver.url)
    finished_video(database, alice)
    delivery_id = pending(database, alice)
    with ThreadPoolExecutor(4) as together:
        taken = list(together.map(lambda _: copy_context().run(deliver, delivery_id), range(4)))
    assert len(receiver.received) == 1
    assert taken.count(True) >= 1


def test_a_message_of_another_worker_waits_for_the_one_at_work(
    alice: User, database: Database, receiver: Receiver
) -> None:
    endpoint(alice, receiver.url)
    finished_video(database, alice)
    delivery_id = pending(database, alice)
    claim(delivery_id, "lost")
    assert not deliver(delivery_id, message_id="other"), "it comes again, for the worker may be lost"
    assert receiver.received == []
    database.execute("update public.webhook_deliveries set leased_until = now() - interval '1 s'"
                     " where delivery_id = %s", (delivery_id,))  # fmt: skip
    assert deliver(delivery_id, message_id="other")
    assert len(receiver.received) == 1


def test_a_worker_whose_claim_was_taken_over_settles_nothing(
    alice: User, database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.status = 500
    endpoint(alice, receiver.url)
    finished_video(database, alice)
    delivery_id = pending(database, alice)
    real = module._attempt

    def slow(*given: Any) -> module.Outcome:
        outcome = real(*given)
        claim(delivery_id, "m")
        return outcome

    monkeypatch.setattr(module, "_attempt", slow)
    assert deliver(delivery_id, message_id="m")
    stored = row(database, delivery_id)
    assert (stored["status"], stored["attempts"], stored["status_code"]) == ("delivering", 2, None)


def test_a_message_that_comes_too_early_is_sent_again_for_the_right_time(
    alice: User, database: Database, receiver: Receiver, queue: Queue
) -> None:
    endpoint(alice, receiver.url)
    finished_video(database, alice)
    delivery_id = pending(database, alice)
    database.execute("update public.webhook_deliveries set next_attempt_at = now() + interval '3 hours', attempts = 4"
                     " where delivery_id = %s", (delivery_id,))  # fmt: skip
    assert deliver(delivery_id, attempts=4)
    assert (receiver.received, queue.delayed()) == ([], 1)
    assert deliver(delivery_id, attempts=3), "one of an earlier attempt is dropped"
    assert queue.delayed() == 1


def test_messages_for_nothing_are_taken(database: Database, alice: User) -> None:
    assert deliver(str(uuid.uuid4()))
    endpoint_id, _ = endpoint(alice)
    finished_video(database, alice)
    delivery_id = pending(database, alice)
    database.execute("delete from public.webhook_endpoints where endpoint_id = %s", (endpoint_id,))
    assert deliver(delivery_id)


def test_the_sample_event_is_taken(alice: User) -> None:
    assert run_handler(module.handler, json.loads(SAMPLE.read_text()), Context(seconds=40)) == {"batchItemFailures": []}


def test_one_bad_message_does_not_fail_the_others(alice: User, database: Database, receiver: Receiver) -> None:
    endpoint(alice, receiver.url)
    finished_video(database, alice)
    good, bad = message(pending(database, alice))["Records"][0], message("no uuid")["Records"][0]
    worse = bad | {"messageId": "worse", "body": "[]"}
    answer = run_handler(module.handler, {"Records": [bad, worse, good]}, Context(seconds=40))
    failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
    assert failed == {bad["messageId"], "worse"}
    assert len(receiver.received) == 1


def test_what_was_delivered_but_could_not_be_written_down_comes_again(
    alice: User, database: Database, receiver: Receiver, stack: Stack, function_environment: pytest.MonkeyPatch
) -> None:
    endpoint(alice, receiver.url)
    finished_video(database, alice)
    delivery_id = pending(database, alice)
    upstream = FaultyUpstream(stack.info["supabaseUrl"])
    function_environment.setenv("SUPABASE_URL", upstream.url)
    settings.cache_clear()
    with upstream.failing("/rest/v1/rpc/settle_delivery", "error_500"):
        assert not deliver(delivery_id, message_id="m")
    assert deliver(delivery_id, message_id="m")
    upstream.close()
    ids = [one.headers["webhook-id"] for one in receiver.received]
    assert len(ids) == 2
    assert len(set(ids)) == 1, "a receiver knows the repeat by its id"
    assert row(database, delivery_id)["status"] == "delivered"
