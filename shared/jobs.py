"""Batches of queue messages, consumed with partial failure: what failed comes again, what succeeded does not."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import AppError
from shared.observability import log

DEAD_LETTERS: Final = "-dead"  # how the name of a queue of dead letters ends


class TryAgainError(Exception):
    """This message cannot be handled yet; it shall be delivered again."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its id, the same when it comes again, its JSON body, and whether its tries are used up."""

    id: str
    body: Any
    is_dead: bool


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
