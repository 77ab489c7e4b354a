"""The queues of jobs: messages are sent in batches, and consumed with partial failure, so that what failed comes again.

SQS is called by hand-signed requests, since importing the AWS SDK would double a cold start.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import httpx

from shared.errors import AppError
from shared.observability import carry_on, log, measure, request_id, work_for, xray_header
from shared.settings import settings
from shared.signatures import signed_post
from shared.upstream import http, translated

Queue = Literal["render", "merge", "webhook"]

DEAD_LETTERS: Final = "-dead"  # how the name of a queue of dead letters ends

MOST_DELAY_SECONDS: Final = 900  # SQS holds no message back for longer

_MOST_AT_ONCE: Final = 10  # messages that SQS takes in one request
_TRIES: Final = 3
_AGAIN_AFTER_SECONDS: Final = (5, 30, 120)  # by how often a message has come; else it would wait for its visibility


class TryAgainError(Exception):
    """This message cannot be handled yet; it shall be delivered again."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its id, the same when it comes again, its JSON body, and whether its tries are used up."""

    id: str
    body: Any
    is_dead: bool


def send(queue: Queue, bodies: Sequence[Mapping[str, object]], *, delay_seconds: int = 0) -> None:
    """Send a message for each body, in the name of the present request, held back for up to 15 minutes.

    Raises `queue_unavailable` where some could not be sent; some of the others may have been.
    """
    url = _url(queue)
    trace = xray_header()
    told = {
        "MessageAttributes": {"requestId": _text(request_id() or "none")},
        "MessageSystemAttributes": {"AWSTraceHeader": _text(trace)} if trace else {},
        "DelaySeconds": delay_seconds,
    }
    entries: list[Mapping[str, object]] = [
        {"Id": str(number), "MessageBody": json.dumps(body), **told} for number, body in enumerate(bodies)
    ]
    for start in range(0, len(entries), _MOST_AT_ONCE):
        _send_batch(url, entries[start : start + _MOST_AT_ONCE])


def _text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def send_due(clips: Sequence[int], merges: Sequence[int]) -> None:
    """Send the messages that are due. Everything is written down: what cannot be sent now, the sweep sends."""
    try:
        send("render", [{"clipId": clip_id} for clip_id in clips])
        send("merge", [{"videoId": video_id} for video_id in merges])
    except AppError as error:
        log("messages_not_sent", level=40, error=error)


def is_batch(event: Mapping[str, Any]) -> bool:
    """Return whether the event is a batch of SQS messages."""
    records = event.get("Records") or [{}]
    return bool(records[0].get("eventSource") == "aws:sqs")


def consume(event: Mapping[str, Any], handle: Callable[[Message], None]) -> dict[str, Any]:
    """Handle every message of a batch and return those that failed, as Lambda's partial batch response."""
    own = request_id()
    failed = [record for record in event["Records"] if not _succeeds(handle, record, own)]
    for record in failed:
        _bring_again_soon(record)
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in failed]}


def _succeeds(handle: Callable[[Message], None], record: Mapping[str, Any], own: str | None) -> bool:
    sender = record.get("messageAttributes", {}).get("requestId", {}).get("stringValue")
    work_for(sender or own)
    carry_on(record["attributes"].get("AWSTraceHeader"))
    measure("Messages")
    received = int(record["attributes"]["ApproximateReceiveCount"])
    # What Lambda ends before its time says no more; this line leads from the request to the lines of Lambda itself.
    log("message_received", invocationId=own, receiveCount=received)
    if received == 1 and (sent := record["attributes"].get("SentTimestamp")):
        measure("WaitTime", max(0.0, time.time() - int(sent) / 1000))
    try:
        handle(_message(record))
    except TryAgainError as error:
        log("message_postponed", error=error, receiveCount=received)
        return False
    except Exception as error:  # one bad message must not fail the others
        measure("FailedMessages")
        measure("Errors")
        event = "message_postponed" if isinstance(error, AppError) else "message_failed"
        log(event, level=40, error=error, receiveCount=received)
        return False
    return True


def _message(record: Mapping[str, Any]) -> Message:
    return Message(
        id=record["messageId"],
        body=json.loads(record["body"]),
        is_dead=record["eventSourceARN"].endswith(DEAD_LETTERS),
    )


def _url(queue: Queue) -> str:
    chosen = settings()
    urls = {
        "render": chosen.render_queue_url,
        "merge": chosen.merge_queue_url,
        "webhook": chosen.webhook_queue_url,
    }
    url = urls[queue]
    if not url:
        raise AppError("not_configured", f"{queue.upper()}_QUEUE_URL is not set.")
    return url


def _send_batch(url: str, entries: Sequence[Mapping[str, object]]) -> None:
    """Send up to ten messages; those that were refused, or of which nothing was heard, once more and again."""
    for attempt in range(1, _TRIES + 1):
        try:
            answer = _call("SendMessageBatch", url, {"Entries": entries})
        except AppError:
            if attempt == _TRIES:
                raise
            continue
        refused = {one["Id"] for one in answer.get("Failed", [])}
        entries = [entry for entry in entries if entry["Id"] in refused]
        if not entries:
            return
    raise AppError("queue_unavailable")


def _bring_again_soon(record: Mapping[str, Any]) -> None:
    """Let a message that failed come again after seconds, not after the whole visibility timeout of its queue."""
    receipt = record.get("receiptHandle")
    if not receipt:
        return
    times = int(record["attributes"]["ApproximateReceiveCount"])
    seconds = _AGAIN_AFTER_SECONDS[min(times, len(_AGAIN_AFTER_SECONDS)) - 1]
    *_, region, account, name = record["eventSourceARN"].split(":")
    with suppress(AppError):
        base = settings().aws.endpoint_url or f"https://sqs.{region}.amazonaws.com"
        url = f"{base}/{account}/{name}"
        _call("ChangeMessageVisibility", url, {"ReceiptHandle": receipt, "VisibilityTimeout": seconds})


def _call(action: str, queue_url: str, parameters: Mapping[str, object]) -> dict[str, Any]:
    place = urlsplit(queue_url)
    url = f"{place.scheme}://{place.netloc}/"
    body = json.dumps({"QueueUrl": queue_url, **parameters}).encode()
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"AmazonSQS.{action}"}
    with translated("queue", "queue"):
        signed = signed_post(settings().aws, "sqs", datetime.now(UTC), url, headers, body)
        response = http.post(url, content=body, headers=signed)
        if response.status_code != httpx.codes.OK:
            log("queue_refused", level=40, status=response.status_code)
        response.raise_for_status()
        return dict(response.json()) if response.content else {}
