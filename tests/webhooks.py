"""Webhooks for tests: endpoints, videos that finish, and the queue of due deliveries."""

import json
import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import httpx
import psycopg
import pytest
from standardwebhooks import Webhook

from functions.deliver_webhook.handler import handler as deliver_handler
from infra.local.stack import Stack
from shared.settings import settings
from shared.supabase_access import as_service
from tests.client import Answer, Client, Context, run_handler
from tests.people import User
from tests.receivers import Received

Database = psycopg.Connection[Any]
HOOK = "https://receiver.example/hook"
EVENTS = ["video.completed", "video.failed", "upload.rejected"]


class Queue:
    """A queue of due deliveries that nobody but the test reads."""

    def __init__(self) -> None:
        self._sqs = boto3.client("sqs", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        self.url = self._sqs.create_queue(QueueName=f"deliveries-{uuid.uuid4()}")["QueueUrl"]

    def take(self) -> list[dict[str, Any]]:
        """Return the bodies of the messages that can be received now."""
        bodies = []
        while found := self._sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                bodies.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def delayed(self) -> int:
        """Return how many messages are held back."""
        found = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessagesDelayed"])
        return int(found["Attributes"]["ApproximateNumberOfMessagesDelayed"])


@pytest.fixture
def queue(function_environment: pytest.MonkeyPatch) -> Iterator[Queue]:
    """The queue of deliveries, of this test alone."""
    found = Queue()
    function_environment.setenv("WEBHOOK_QUEUE_URL", found.url)
    settings.cache_clear()
    yield found
    settings.cache_clear()


def act(user: Any, action: str | None = None, **body: object) -> Answer:
    answer: Answer = user.post("webhooks", body | ({"action": action} if action else {}))
    return answer


def endpoint(user: User, url: str = HOOK, **body: Any) -> tuple[str, str]:
    """Create an endpoint, and return its id and secret."""
    answer = act(user, url=url, **body)
    assert answer.status == 200, answer.body
    return answer.json["endpoint"]["endpointId"], answer.json["secret"]


def log_of(user: User, endpoint_id: str, **query: Any) -> list[dict[str, Any]]:
    """Return the deliveries of an endpoint, as its owner sees them."""
    answer = user.get("webhooks", endpointId=endpoint_id, **query)
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json["deliveries"]
    return found


def video(database: Database, user: User, status: str = "merging", **options: object) -> str:
    """Make a session of the user's with a video in this state, and return the video's id."""
    session_id = str(uuid.uuid4())
    database.execute(
        "insert into public.video_sessions (session_id, user_id, original_prompt, video_duration, frame_count, style,"
        " mood) values (%s, %s, 'p', 5, 1, 's', 'm')",
        (session_id, user.subject),
    )
    found = database.execute(
        "insert into public.final_videos (session_id, status, options) values (%s, %s, %s) returning video_id",
        (session_id, status, json.dumps(options)),
    ).fetchone()
    assert found
    return str(found[0])


def finish(database: Database, video_id: str, status: str = "completed", **columns: object) -> None:
    """Let a video end like this."""
    sets = "".join(f", {name} = %s" for name in columns)
    database.execute(
        f"update public.final_videos set status = %s{sets} where video_id = %s", (status, *columns.values(), video_id)
    )


def finished_video(database: Database, user: User, status: str = "completed", **options: Any) -> str:
    """Make a video that has just ended, and return its id."""
    video_id = video(database, user, **options)
    finish(database, video_id, status)
    return video_id


def message(delivery_id: str, attempts: int = 0, message_id: str | None = None) -> dict[str, Any]:
    """Return the event of one message for a delivery."""
    return {
        "Records": [
            {
                "messageId": message_id or str(uuid.uuid4()),
                "body": json.dumps({"deliveryId": delivery_id, "attempts": attempts}),
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:videomaker-webhooks",
            }
        ]
    }


def deliver(delivery_id: str, attempts: int = 0, message_id: str | None = None) -> bool:
    """Run `deliver_webhook` for one message; return whether the message was taken."""
    answer = run_handler(deliver_handler, message(delivery_id, attempts, message_id), Context(seconds=40))
    failures: list[object] = answer["batchItemFailures"]
    return not failures


def row(database: Database, delivery_id: str) -> dict[str, Any]:
    """Return a delivery as it is stored."""
    found = database.execute(
        "select to_jsonb(d) from public.webhook_deliveries d where delivery_id = %s", (delivery_id,)
    ).fetchone()
    assert found
    stored: dict[str, Any] = found[0]
    return stored


def outbox(database: Database, user: User) -> list[dict[str, Any]]:
    """Return all deliveries of a user, oldest first."""
    found = database.execute(
        "select to_jsonb(d) from public.webhook_deliveries d where user_id = %s order by id", (user.subject,)
    ).fetchall()
    return [one for (one,) in found]


def due_now(database: Database, delivery_id: str) -> None:
    """Let the time of the next attempt have come."""
    database.execute(
        "update public.webhook_deliveries set next_attempt_at = now(), announce_at = now() where delivery_id = %s",
        (delivery_id,),
    )


def eventually(reached: Any, seconds: float = 100) -> None:
    """Return once this holds."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.2)


def read(user: Client, **query: Any) -> Answer:
    """Ask for endpoints, or for deliveries."""
    return user.get("webhooks", **query)


def rest(stack: Stack, user: User, method: str, path: str, **more: Any) -> httpx.Response:
    """Ask the database itself, past the functions."""
    headers = {"apikey": stack.info["anonKey"], "Authorization": f"Bearer {user.token}", **more.pop("headers", {})}
    url = f"{stack.info['supabaseUrl']}/rest/v1/{path}"
    return httpx.request(method, url, headers=headers, timeout=60, **more)


def at_once(stack: Stack, user: User, function: str, bodies: list[dict[str, Any]]) -> list[httpx.Response]:
    """Call a database function as this user, eight times at the same moment."""
    with ThreadPoolExecutor(8) as together:
        return list(together.map(lambda body: rest(stack, user, "POST", f"rpc/{function}", json=body), bodies))


def pending(database: Database, user: User) -> str:
    """Return the delivery that the user's last event became."""
    return str(outbox(database, user)[-1]["delivery_id"])


def verified(secret: str, request: Received) -> Any:
    """Return the event, once its signature is verified as receivers do."""
    return Webhook(secret).verify(request.body, request.headers)


def claim(delivery_id: str, worker: str) -> Any:
    """Take a delivery as a worker that is at it for a minute."""
    given = {"p_delivery_id": delivery_id, "p_worker": worker, "p_lease_seconds": 60}
    return as_service().rpc("claim_delivery", given)
