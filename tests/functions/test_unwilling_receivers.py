"""deliver_webhook: what other receivers do; the job is unaffected, the log tells, and it is tried again."""

from typing import Any

import psycopg
import pytest

from shared.settings import settings
from tests.people import User
from tests.receivers import Manner, Receiver, receiving
from tests.webhooks import Queue, deliver, due_now, endpoint, finished_video, log_of, pending

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("queue")  # nobody else delivers what is announced here


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
