"""A tracker of errors that receives what Sentry's client really sends: envelopes.

https://develop.sentry.dev/sdk/data-model/envelopes/
"""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from shared.observability import error_tracking
from shared.settings import telemetry
from tests.receivers import Manner, Received, Receiver, receiving


class Tracker:
    """A receiver, and the events in what it has received."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    @property
    def dsn(self) -> str:
        return f"http://public-key@127.0.0.1:{self.receiver.port}/42"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for one in self.receiver.received for event in events_of(one)]

    @property
    def text(self) -> str:
        """All that came: heads, and bodies unpacked."""
        return "\n".join(
            f"{one.line}\n{one.headers}\n{unpacked(one).decode(errors='replace')}" for one in self.receiver.received
        )


def unpacked(request: Received) -> bytes:
    return gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body


def events_of(request: Received) -> Iterator[dict[str, Any]]:
    """Read an envelope: a line of JSON, then items, each a line that says how long it is, and that many bytes."""
    assert request.line.startswith("POST /api/42/envelope/ "), request.line
    assert "sentry_key=public-key" in request.headers["x-sentry-auth"]
    head, _, rest = unpacked(request).partition(b"\n")
    assert json.loads(head)["event_id"]
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        item = json.loads(line)
        payload, rest = rest[: item["length"]], rest[item["length"] :].lstrip(b"\n")
        if item["type"] == "event":
            yield json.loads(payload)


@contextmanager
def tracking(environment: pytest.MonkeyPatch, manner: Manner = "answer", status: int = 200) -> Iterator[Tracker]:
    """Let failures be told to a tracker that behaves like this."""
    with receiving(manner=manner, status=status, answer_body=b"{}") as receiver:
        tracker = Tracker(receiver)
        environment.setenv("SENTRY_DSN", tracker.dsn)
        _forget()
        yield tracker
    environment.delenv("SENTRY_DSN")
    _forget()


def _forget() -> None:
    telemetry.cache_clear()
    error_tracking._client.cache_clear()
    error_tracking._resting_until = float("-inf")
