"""deliver_webhook: every event arrives, signed, at receivers that behave and at those that do not."""

import base64
import json
import logging
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from functions.deliver_webhook import handler as module
from functions.maintenance.handler import handler as maintenance
from infra.local.stack import Stack
from shared.deliveries import announce_pending
from shared.media_urls import media_path
from shared.settings import settings
from shared.supabase_access import as_service
from tests.client import Context, run_handler
from tests.faults import FaultyUpstream
from tests.functions.test_create_upload import ask, file
from tests.people import User
from tests.receivers import Manner, Received, Receiver, receiving
from tests.storyboards import png
from tests.webhooks import (
    HOOK,
    Queue,
    act,
    deliver,
    due_now,
    endpoint,
    eventually,
    finish,
    finished_video,
    log_of,
    message,
    outbox,
    row,
    video,
)

Database = psycopg.Connection[Any]
SAMPLE = Path(__file__).parents[1] / "events" / "deliver_webhook_sqs.json"


@pytest.fixture(autouse=True)
def quiet(queue: Queue) -> Queue:
    """Only these tests deliver what they announce."""
    return queue


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a slow receiver for two seconds only."""
    monkeypatch.setattr(module, "ATTEMPT_SECONDS", 2.0)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What the functions log."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    collector = Collector()
    logger = logging.getLogger("videomaker")
    logger.addHandler(collector)
    yield lines
    logger.removeHandler(collector)


def pending(database: Database, user: User) -> str:
    """Return the delivery that the user's last event became."""
    return str(outbox(database, user)[-1]["delivery_id"])


def verified(secret: str, request: Received) -> Any:
    return Webhook(secret).verify(request.body, request.headers)


# What a good receiver gets


def test_an_event_arrives_signed_as_standard_webhooks_are(alice: User, database: Database, receiver: Receiver) -> None:
    endpoint_id, secret = endpoint(alice, receiver.url)
    video_id = finished_video(database, alice)
    assert deliver(pending(database, alice))
    [request] = receiver.received
    assert request.line == "POST /hook?token=in-the-url HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
    [stored] = log_of(alice, endpoint_id)
    assert request.headers["webhook-id"] == stored["eventId"] == request.json["id"]
    assert verified(secret, request) == stored["payload"]
    assert request.json["data"]["videoId"] == video_id
    assert (stored["status"], stored["attempts"], stored["statusCode"]) == ("delivered", 1, 200)
    assert (stored["error"], stored["response"], stored["nextAttemptAt"]) == (None, "thanks", None)
    assert stored["durationMs"] >= 0
    assert stored["attemptedAt"] is not None


def test_a_signature_holds_for_its_own_body_id_time_and_secret_only(
    alice: User, database: Database, receiver: Receiver
) -> None:
    _, secret = endpoint(alice, receiver.url)
    _, other = endpoint(alice, HOOK, events=["video.failed"])
    finished_video(database, alice)
    deliver(pending(database, alice))
    [request] = receiver.received
    for changed in (
        Received("", request.headers, request.body.replace(b"completed", b"c0mpleted", 1)),
        Received("", request.headers | {"webhook-id": "evt_other"}, request.body),
        Received("", request.headers | {"webhook-timestamp": str(int(time.time()) + 2)}, request.body),
    ):
        with pytest.raises(WebhookVerificationError):
            verified(secret, changed)
    with pytest.raises(WebhookVerificationError):
        verified(other, request)


def test_while_a_secret_is_rotated_both_verify_and_afterwards_only_the_new_one(
    alice: User, database: Database, receiver: Receiver
) -> None:
    endpoint_id, first = endpoint(alice, receiver.url)
    second = act(alice, "rotate_secret", endpointId=endpoint_id).json["secret"]
    finished_video(database, alice)
    deliver(pending(database, alice))
    during = receiver.received[-1]
    assert len(during.headers["webhook-signature"].split(" ")) == 2
    assert verified(first, during) == verified(second, during)
    database.execute(
        "update private.webhook_secrets set expires_at = now() where endpoint_id = %s and expires_at is not null",
        (endpoint_id,),
    )
    finished_video(database, alice)
    deliver(pending(database, alice))
    after = receiver.received[-1]
    assert verified(second, after)
    with pytest.raises(WebhookVerificationError):
        verified(first, after)


def test_signatures_equal_those_of_the_standard() -> None:
    """The example of the specification's own libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    found = module.signatures([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_address_given_for_a_video_is_signed_with_its_owners_secret(
    alice: User, bob: User, database: Database, receiver: Receiver
) -> None:
    finished_video(database, alice, webhookUrl=receiver.url)
    secret, other = (act(user, "rotate_secret").json["secret"] for user in (alice, bob))
    assert deliver(pending(database, alice))
    assert verified(secret, receiver.received[0])
    with pytest.raises(WebhookVerificationError):
        verified(other, receiver.received[0])
    finished_video(database, alice, status="failed", webhookUrl=receiver.url)
    deliver(pending(database, alice))
    assert verified(secret, receiver.received[1])["type"] == "video.failed"


def test_files_of_a_private_bucket_come_with_urls_that_are_signed_now(
    alice: User, database: Database, receiver: Receiver, function_environment: pytest.MonkeyPatch
) -> None:
    function_environment.setenv("BUCKET_ACCESS", "private")
    settings.cache_clear()
    path = f"{alice.subject}/videos/{uuid.uuid4()}.webp"
    as_service().store(path, png(), "image/webp")
    _, secret = endpoint(alice, receiver.url)
    video_id = video(database, alice)
    finish(database, video_id, video_url=path, poster_url="https://elsewhere.example/p.webp")
    delivery_id = pending(database, alice)
    deliver(delivery_id)
    data = verified(secret, receiver.received[0])["data"]
    assert httpx.get(data["videoUrl"]).content == png()
    assert (data["posterUrl"], data["captionsUrl"]) == ("https://elsewhere.example/p.webp", None)
    assert datetime.fromisoformat(data["expiresAt"]) > datetime.now(UTC)
    assert row(database, delivery_id)["payload"]["data"]["videoUrl"] == path
    assert media_path(data["videoUrl"]) == path


# What other receivers do: the job is unaffected, the log tells, and it is tried again

FAILING: dict[Manner, set[str]] = {
    "hang": {"timeout"},
    "trickle_head": {"timeout"},
    "garbage": {"invalid_response"},
    "die": {"invalid_response", "connection_failed"},
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("manner", FAILING)
def test_a_receiver_that_does_not_answer_is_asked_again(
    alice: User, database: Database, receiver: Receiver, queue: Queue, manner: Manner
) -> None:
    receiver.manner = manner
    endpoint_id, _ = endpoint(alice, receiver.url)
    video_id = finished_video(database, alice)
    assert deliver(pending(database, alice))
    [stored] = log_of(alice, endpoint_id)
    assert (stored["status"], stored["attempts"], stored["statusCode"]) == ("pending", 1, None)
    assert stored["error"] in FAILING[manner]
    assert stored["nextAttemptAt"] > stored["attemptedAt"]
    assert queue.delayed() == 1
    assert state_of(database, video_id) == "completed"
    receiver.manner = "answer"
    due_now(database, stored["deliveryId"])
    assert deliver(stored["deliveryId"], attempts=1)
    [stored] = log_of(alice, endpoint_id)
    assert (stored["status"], stored["attempts"], stored["error"]) == ("delivered", 2, None)


def state_of(database: Database, video_id: str) -> str:
    found = database.execute("select status from public.final_videos where video_id = %s", (video_id,)).fetchone()
    assert found
    return str(found[0])


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, "bad_status"), (404, "bad_status"), (502, "bad_status"), (302, "redirected"), (308, "redirected")],
)
def test_an_answer_other_than_2xx_is_a_failure(
    alice: User, database: Database, receiver: Receiver, status: int, error: str
) -> None:
    with receiving() as inner:
        receiver.status, receiver.answer_headers = status, {"Location": inner.url}
        receiver.answer_body = b"Something broke"
        endpoint_id, _ = endpoint(alice, receiver.url)
        video_id = finished_video(database, alice)
        assert deliver(pending(database, alice))
        [stored] = log_of(alice, endpoint_id)
        assert (stored["status"], stored["statusCode"], stored["error"]) == ("pending", status, error)
        assert stored["response"] == "Something broke"
        assert inner.connections == 0
    assert state_of(database, video_id) == "completed"
    assert alice.get("webhooks").json["endpoints"][0]["failures"] == 1


@pytest.mark.parametrize("status", [200, 201, 204, 299])
@pytest.mark.parametrize("manner", ["answer", "endless", "cut_body", "trickle_body"])
def test_any_2xx_is_a_delivery_whatever_follows(
    alice: User, database: Database, receiver: Receiver, status: int, manner: Manner
) -> None:
    receiver.status, receiver.manner = status, manner
    endpoint_id, _ = endpoint(alice, receiver.url)
    finished_video(database, alice)
    assert deliver(pending(database, alice))
    [stored] = log_of(alice, endpoint_id)
    assert (stored["status"], stored["statusCode"]) == ("delivered", status)
    assert len(stored["response"]) <= 500


def test_of_an_answer_is_kept_a_beginning_that_does_no_harm(
    alice: User, database: Database, receiver: Receiver
) -> None:
    receiver.answer_body = b"\x1b[31mred\x1b[0m \x00\xff\xfe <script>\n" + "\u202eüß".encode() + b"x" * 5000
    endpoint_id, _ = endpoint(alice, receiver.url)
    finished_video(database, alice)
    deliver(pending(database, alice))
    response = log_of(alice, endpoint_id)[0]["response"]
    assert response.startswith("[31mred[0m \ufffd\ufffd <script>\nüß")
    assert len(response) == 500


def test_nobody_listening_is_told(alice: User, database: Database, receiver: Receiver) -> None:
    endpoint_id, _ = endpoint(alice, receiver.url)
    receiver.close()
    finished_video(database, alice)
    assert deliver(pending(database, alice))
    assert log_of(alice, endpoint_id)[0]["error"] == "connection_failed"


def test_a_private_address_is_never_connected_to_and_not_tried_again(
    alice: User, database: Database, receiver: Receiver, queue: Queue, function_environment: pytest.MonkeyPatch
) -> None:
    """An address may get into the database past the function, or have been written when it was allowed."""
    endpoint_id, _ = endpoint(alice, receiver.url)
    function_environment.setenv("WEBHOOK_ALLOW_PRIVATE", "off")
    settings.cache_clear()
    inside = f"https://127.0.0.1:{receiver.port}/"
    for url, error in [(receiver.url, "invalid_url"), (inside, "invalid_url")]:
        database.execute("update public.webhook_endpoints set url = %s where endpoint_id = %s", (url, endpoint_id))
        finished_video(database, alice)
        assert deliver(pending(database, alice))
        stored = log_of(alice, endpoint_id)[0]
        assert (stored["status"], stored["error"], stored["nextAttemptAt"]) == ("failed", error, None)
    assert (receiver.connections, queue.delayed()) == (0, 0)


def test_a_name_that_leads_inside_is_refused_at_the_moment_of_delivery(
    alice: User, database: Database, receiver: Receiver, function_environment: pytest.MonkeyPatch
) -> None:
    function_environment.setenv("WEBHOOK_ALLOW_PRIVATE", "off")
    settings.cache_clear()
    function_environment.setattr("shared.outbound._resolve", lambda *_: ["127.0.0.1"])
    endpoint_id, _ = endpoint(alice, f"https://receiver.example:{receiver.port}/")
    finished_video(database, alice)
    assert deliver(pending(database, alice))
    stored = log_of(alice, endpoint_id)[0]
    assert (stored["status"], stored["error"]) == ("failed", "refused_address")
    assert receiver.connections == 0


# When it is tried again, and when no more


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


# Messages: at least once, in any order


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


def claim(delivery_id: str, worker: str) -> Any:
    given = {"p_delivery_id": delivery_id, "p_worker": worker, "p_lease_seconds": 60}
    return as_service().rpc("claim_delivery", given)


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


# Telling the queue


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


# Secrets


def test_no_log_line_holds_a_secret_an_address_or_a_body(
    alice: User, database: Database, receiver: Receiver, logged: list[str], hasty: None
) -> None:
    endpoint_id, secret = endpoint(alice, receiver.url, description="a-description")
    rotated = act(alice, "rotate_secret", endpointId=endpoint_id).json["secret"]
    own = act(alice, "rotate_secret").json["secret"]
    act(alice, url="https://127.0.0.1/wrong-one")
    manners: list[Manner] = ["answer", "hang", "garbage", "die"]
    for manner in manners:
        receiver.manner, receiver.answer_body = manner, b"body-of-the-answer"
        finished_video(database, alice, webhookUrl=receiver.url)
        for one in outbox(database, alice):
            deliver(one["delivery_id"])
    receiver.close()
    finished_video(database, alice)
    deliver(pending(database, alice))
    text = "\n".join(logged)
    assert "delivery_attempted" in text
    signatures = [one.headers["webhook-signature"] for one in receiver.received]
    assert len(signatures) >= 4
    for kept_back in (
        *(one.removeprefix("whsec_") for one in (secret, rotated, own)),
        *(base64.b64decode(one.removeprefix("whsec_")).hex() for one in (secret, rotated, own)),
        *(part.removeprefix("v1,") for one in signatures for part in one.split(" ")),
        "whsec_",
        "in-the-url",
        "127.0.0.1",
        "wrong-one",
        "body-of-the-answer",
        "sessionId",
        "a-description",
    ):
        assert kept_back not in text


# Through the whole stack


def test_from_a_finished_video_to_a_verified_event_over_queue_and_gateway(
    stack: Stack, alice: User, database: Database, receiver: Receiver, function_environment: pytest.MonkeyPatch
) -> None:
    function_environment.setenv("WEBHOOK_QUEUE_URL", stack.function_environment()["WEBHOOK_QUEUE_URL"])
    settings.cache_clear()
    api = httpx.Client(base_url=stack.info["apiUrl"], headers={"Authorization": f"Bearer {alice.token}"}, timeout=60)
    created = api.post("/api/webhooks", json={"url": receiver.url}).json()
    endpoint_id, secret = created["endpoint"]["endpointId"], created["secret"]
    receiver.status = 503
    pinged = api.post("/api/webhooks", json={"action": "ping", "endpointId": endpoint_id}).json()["delivery"]
    eventually(lambda: len(receiver.received) == 1)
    receiver.status = 200
    eventually(lambda: log_of(alice, endpoint_id)[0]["status"] == "delivered")
    assert log_of(alice, endpoint_id)[0]["attempts"] == 2
    finished_video(database, alice)
    announce_pending(as_service())
    eventually(lambda: len(receiver.received) == 3)
    events = [verified(secret, one) for one in receiver.received]
    assert [one["type"] for one in events] == ["ping", "ping", "video.completed"]
    assert events[0]["id"] == events[1]["id"] == pinged["eventId"]
    assert api.request("DELETE", "/api/webhooks", params={"endpointId": endpoint_id}).json()["success"] is True


def test_a_rejected_upload_is_announced_by_the_function_that_rejects_it(
    stack: Stack, alice: User, receiver: Receiver
) -> None:
    _, secret = endpoint(alice, receiver.url, events=["upload.rejected"])
    ticket = ask(alice, file(bytes=5)).json["uploads"][0]
    sent = httpx.post(ticket["url"], data=ticket["fields"], files={"file": ("picture", b"hello")}, timeout=60)
    assert sent.status_code == 204
    eventually(lambda: len(receiver.received) == 1)
    event = verified(secret, receiver.received[0])
    assert (event["type"], event["data"]["code"]) == ("upload.rejected", "not_an_image")
    assert json.loads(receiver.received[0].body)["data"]["uploadId"] == ticket["uploadId"]
