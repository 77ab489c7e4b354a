"""Tells Sentry of failures, where SENTRY_DSN is set: what was raised and where, and nothing of what was sent.

The SDK is imported at the first failure: it costs four times what all else that observes does.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from shared.errors import AppError
from shared.settings import telemetry

if TYPE_CHECKING:
    from sentry_sdk import Client

_FLUSH_SECONDS: Final = 2.0
_REST_SECONDS: Final = 60.0  # for which a tracker that does not answer is not told anything
_KEPT: Final = ("event_id", "timestamp", "level", "platform", "release", "environment", "sdk", "tags", "exception")

_resting_until = float("-inf")


@dataclass(frozen=True, slots=True)
class Failure:
    """What was raised, in which event of the log, and for which request."""

    event: str
    error: BaseException
    request_id: str


def track(failures: Sequence[Failure], tags: Mapping[str, str], seconds: float) -> None:
    """Send these, within two seconds or what is left of `seconds`; what is not sent by then may be lost."""
    global _resting_until  # noqa: PLW0603  # one tracker, one rest
    dsn = telemetry().sentry_dsn
    allowed = min(_FLUSH_SECONDS, seconds)
    if not (dsn and failures) or allowed <= 0 or time.monotonic() < _resting_until:
        return
    client = _client(dsn)
    for failure in failures:
        client.capture_event(_event(failure, tags, client.options))
    started = time.monotonic()
    client.flush(timeout=allowed)
    if time.monotonic() - started >= allowed:
        _resting_until = time.monotonic() + _REST_SECONDS


@lru_cache(maxsize=1)
def _client(dsn: str) -> "Client":
    from sentry_sdk import Client  # noqa: PLC0415

    return Client(
        dsn=dsn,
        release=telemetry().release,
        environment=telemetry().stage or "local",
        server_name="",
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        enable_backpressure_handling=False,  # a thread that measures load
        send_client_reports=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        before_send=_without_input,
    )


def _event(failure: Failure, tags: Mapping[str, str], options: dict[str, Any]) -> Any:
    from sentry_sdk.utils import event_from_exception  # noqa: PLC0415

    event, _ = event_from_exception(failure.error, client_options=options)
    code = {"code": failure.error.code} if isinstance(failure.error, AppError) else {}
    return {**event, "tags": {**tags, **code, "event": failure.event, "requestId": failure.request_id}}


def _without_input(event: Any, _hint: Any) -> Any:
    """Keep what has a place here, and in the place of an exception's text, which may hold anything, our code for it."""
    for value in event["exception"]["values"]:
        value["value"] = ""
    event["exception"]["values"][-1]["value"] = event["tags"].get("code", "")
    return {name: event[name] for name in _KEPT if name in event}
