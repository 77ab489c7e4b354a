"""Makes one attempt at one signed delivery, writes down what came of it, and plans the next one."""

import base64
import hmac
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from shared.deliveries import announce
from shared.jobs import Message, TryAgainError, consume
from shared.media_urls import media_path
from shared.observability import log, observed, remaining_seconds, work_for
from shared.outbound import OutboundError, post
from shared.supabase_access import Access, as_service

LEASE_SECONDS = 60  # longer than this function may run, and shorter than the queue's visibility timeout
ATTEMPT_SECONDS = 15.0
GIVE_UP_SECONDS = 24 * 3600
FIRST_WAIT_SECONDS, WAIT_GROWTH, LONGEST_WAIT_SECONDS = 5, 4, 4 * 3600
RESPONSE_CHARACTERS = 500

_URLS = ("videoUrl", "posterUrl", "previewUrl", "captionsUrl")
_HOPELESS = ("invalid_url", "refused_address")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt; `wait_seconds` until the next one, where there is one."""

    status: Literal["delivered", "pending", "failed"]
    status_code: int | None = None
    error: str | None = None
    response: str | None = None
    wait_seconds: int | None = None


@observed("deliver_webhook")
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Deliver for each message, `{"deliveryId", "attempts"}`. What a receiver does never fails a message."""
    return consume(event, _on_message)


def _on_message(message: Message) -> None:
    service = as_service()
    claim = {"p_delivery_id": message.body["deliveryId"], "p_worker": message.id, "p_lease_seconds": LEASE_SECONDS}
    delivery = service.rpc("claim_delivery", claim)
    if delivery is None:
        log("unknown_delivery_ignored")
    elif delivery["claimed"]:
        work_for(delivery.get("request_id"))
        _deliver(service, delivery)
    elif delivery["status"] == "delivering":
        raise TryAgainError  # another worker has it, and may yet be lost
    elif delivery["status"] == "pending" and delivery["attempts"] == message.body["attempts"]:
        announce(message.body["deliveryId"], delivery["attempts"], int(delivery["wait_seconds"]))


def _deliver(service: Access, delivery: Mapping[str, Any]) -> None:
    started = time.perf_counter()
    outcome = _attempt(service, delivery)
    milliseconds = round((time.perf_counter() - started) * 1000)
    settled = service.rpc(
        "settle_delivery",
        {
            "p_delivery_id": delivery["delivery_id"],
            "p_attempt": delivery["attempts"],
            "p_status": outcome.status,
            "p_status_code": outcome.status_code,
            "p_error": outcome.error,
            "p_response": outcome.response,
            "p_duration_ms": milliseconds,
            "p_wait_seconds": outcome.wait_seconds,
            "p_gone": outcome.status_code == 410,
        },
    )
    log(
        "delivery_attempted",
        deliveryId=delivery["delivery_id"],
        attempt=delivery["attempts"],
        status=outcome.status,
        code=outcome.error,
        statusCode=outcome.status_code,
        milliseconds=milliseconds,
    )
    if settled and outcome.wait_seconds is not None:
        announce(delivery["delivery_id"], delivery["attempts"], outcome.wait_seconds)


def _attempt(service: Access, delivery: Mapping[str, Any]) -> Outcome:
    body = _body(service, delivery["payload"])
    now = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Videomaker-Webhooks/1",
        "Webhook-Id": delivery["event_id"],
        "Webhook-Timestamp": str(now),
        "Webhook-Signature": signatures(delivery["secrets"], delivery["event_id"], now, body),
    }
    try:
        reply = post(delivery["url"], body, headers, min(ATTEMPT_SECONDS, remaining_seconds()))
    except OutboundError as failure:
        wait = None if failure.code in _HOPELESS else next_wait(delivery["attempts"], delivery["age_seconds"])
        return Outcome("failed" if wait is None else "pending", error=failure.code, wait_seconds=wait)
    response = _printable(reply.excerpt)
    if 200 <= reply.status < 300:
        return Outcome("delivered", reply.status, response=response)
    error = "redirected" if 300 <= reply.status < 400 else "bad_status"
    wait = None
    if reply.status != 410:
        wait = next_wait(delivery["attempts"], delivery["age_seconds"], _seconds_asked_for(reply.retry_after))
    return Outcome("failed" if wait is None else "pending", reply.status, error, response, wait)


def _body(service: Access, payload: dict[str, Any]) -> bytes:
    """Return what is sent. Of a private bucket the database keeps paths: their URLs are signed anew at each attempt."""
    paths = {name: media_path(url) for name, url in payload["data"].items() if name in _URLS and url}
    urls = service.urls(sorted({path for path in paths.values() if path}))
    found = {name: urls.by_path.get(path or "", payload["data"][name]) for name, path in paths.items()}
    data = payload["data"] | found | ({"expiresAt": urls.expires_at} if urls.expires_at else {})
    return json.dumps(payload | {"data": data}, ensure_ascii=False, separators=(",", ":")).encode()


def signatures(secrets: Sequence[str], event_id: str, timestamp: int, body: bytes) -> str:
    """Return one signature for each secret that is valid, as Standard Webhooks (v1) puts them into one header."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    keys = (base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}" for key in keys)


def next_wait(attempts: int, age_seconds: float, at_least: int = 0) -> int | None:
    """Return how many seconds to wait after so many attempts; None where the delivery is a day old.

    5, 20, 80 seconds and so on up to 4 hours, each a quarter more or less. The last attempt is made after 24 hours.
    """
    left = GIVE_UP_SECONDS - age_seconds
    if left <= 0:
        return None
    wait = min(FIRST_WAIT_SECONDS * float(WAIT_GROWTH) ** min(attempts - 1, 20), LONGEST_WAIT_SECONDS)
    spread = wait * random.uniform(0.75, 1.25)  # noqa: S311  # no secret
    return round(min(max(spread, at_least, 1), left + 1))


def _seconds_asked_for(retry_after: str | None) -> int:
    """Return what a `Retry-After` asks for: seconds, or a date; 0 where it is neither."""
    if retry_after is None:
        return 0
    if retry_after.isascii() and retry_after.isdigit():
        return int(retry_after[:9])
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0
    return max(0, round((date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()))


def _printable(excerpt: bytes) -> str:
    """Return the beginning of an answer without what a screen or a terminal might obey."""
    text = excerpt.decode(errors="replace")
    return "".join(one for one in text if one.isprintable() or one in "\n\t")[:RESPONSE_CHARACTERS]
