"""The queues: messages are sent in batches, and consumed with partial failure: what failed comes again."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from shared.errors import AppError
from shared.observability import log

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MOST_DELAY_SECONDS: Final = 900  # SQS holds no message back for longer

_MOST_AT_ONCE: Final = 10

DEAD_LETTERS: Final = "-dead"  # how the name of a queue of dead letters ends


class TryAgainError(Exception):
    """This message cannot be handled yet; it shall be delivered again."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its id, the same when it comes again, its JSON body, and whether its tries are used up."""

    id: str
    body: Any
    is_dead: bool


def send(queue: str, bodies: Sequence[object], *, delay_seconds: int = 0) -> None:
    """Send one message for each body, JSON values, to the queue of this URL, held back for up to 15 minutes."""
    for start in range(0, len(bodies), _MOST_AT_ONCE):
        batch = bodies[start : start + _MOST_AT_ONCE]
        with _translated():
            answer = _sqs().send_message_batch(
                QueueUrl=queue,
                Entries=[
                    {"Id": str(number), "MessageBody": json.dumps(body), "DelaySeconds": delay_seconds}
                    for number, body in enumerate(batch)
                ],
            )
        if answer.get("Failed"):
            log("upstream_failed", service="queue", count=len(answer["Failed"]))
            raise AppError("queue_unavailable")


@lru_cache(maxsize=1)
def _sqs() -> "SQSClient":
    import boto3  # noqa: PLC0415  # takes longer than the rest of a cold start, and many requests send nothing
    from botocore.config import Config  # noqa: PLC0415

    timeouts = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})
    return boto3.client("sqs", config=timeouts)


@contextmanager
def _translated() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        log("upstream_failed", service="queue", error=error)
        raise AppError("queue_unavailable") from error


def is_batch(event: Mapping[str, Any]) -> bool:
    """Return whether the event is a batch of SQS messages."""
    records = event.get("Records") or [{}]
    return bool(records[0].get("eventSource") == "aws:sqs")


def consume(event: Mapping[str, Any], handle: Callable[[Message], None]) -> dict[str, Any]:
    """Handle every message of a batch and return those that failed, as Lambda's partial batch response."""
    failed = [record["messageId"] for record in event["Records"] if not _succeeds(handle, record)]
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}


def _succeeds(handle: Callable[[Message], None], record: Mapping[str, Any]) -> bool:
    try:
        handle(_message(record))
    except (AppError, TryAgainError) as error:
        log("message_postponed", error=error, receiveCount=record["attributes"]["ApproximateReceiveCount"])
        return False
    except Exception as error:  # one bad message must not fail the others
        log("message_failed", level=40, error=error)
        return False
    return True


def _message(record: Mapping[str, Any]) -> Message:
    return Message(
        id=record["messageId"],
        body=json.loads(record["body"]),
        is_dead=record["eventSourceARN"].endswith(DEAD_LETTERS),
    )
