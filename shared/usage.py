"""How each request went, told to the database when it is answered: sent, but not waited for."""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from shared import supabase_access
from shared.errors import AppError
from shared.observability import Invocation, log
from shared.settings import settings

_SENT_WITHIN_SECONDS: Final = 0.02
_MOST_PENDING: Final = 32
_MEASURED: Final = {"auth": "auth_ms", "image": "image_ms", "storage": "storage_ms", "db": "db_ms"}


@dataclass(slots=True)
class _Record:
    """What is known of the request that this context answers."""

    whose: Callable[[], str]
    code: str | None = None
    images: int = 0
    bytes_in: int = 0
    bytes_stored: int = 0
    cold: bool = False
    sent: Event = field(default_factory=Event)


def _of_none() -> str:
    raise AppError("not_configured")


_record: ContextVar[_Record | None] = ContextVar("usage", default=None)
_sending = ThreadPoolExecutor(max_workers=2, thread_name_prefix="usage")
_pending: set[Future[None]] = set()


class _Process:
    """What holds for every request of this process."""

    is_warm = False
    whose_else: Callable[[], str] = staticmethod(_of_none)


def begin() -> None:
    """Note from now on what the present request takes."""
    record = _Record(_Process.whose_else, cold=not _Process.is_warm)
    _Process.is_warm = True
    _record.set(record)


def attribute_others(nobody: Callable[[], str]) -> None:
    """Say by whose token a request is told that says nothing itself; without one it is not."""
    _Process.whose_else = staticmethod(nobody)


def attribute(whose: Callable[[], str]) -> None:
    """Say by whose token the present request is told."""
    record = _record.get()
    if record:
        record.whose = whose


def refused(code: str) -> None:
    """Say which error is answered."""
    record = _record.get()
    if record:
        record.code = code


def image_stored(bytes_in: int, bytes_stored: int) -> None:
    """Count an image that was stored: as it came, and as it is kept, with its thumbnail."""
    record = _record.get()
    if record:
        record.images += 1
        record.bytes_in += bytes_in
        record.bytes_stored += bytes_stored


def tell(invocation: Invocation, function: str, status: int, memory_mb: int) -> None:
    """Begin to tell the database how the request went."""
    record = _record.get()
    if record is None or record.whose is _of_none or len(_pending) >= _MOST_PENDING or not settings().usage_events:
        return
    event: dict[str, object] = {
        "request_id": invocation.request_id,
        "function": function,
        "status": status,
        "code": record.code,
        "cold_start": record.cold,
        "memory_mb": memory_mb,
        "total_ms": round(1000 * (time.perf_counter() - invocation.started), 2),
        "amount": record.images,
        "bytes_in": record.bytes_in,
        "bytes_stored": record.bytes_stored,
    }
    event |= {
        _MEASURED[part]: round(1000 * seconds, 2) for part, seconds in invocation.timings.items() if part in _MEASURED
    }
    # A context of its own, so that it is not held to a deadline which may pass while Lambda has frozen the process.
    sending = _sending.submit(Context().run, _send, record, event)
    _pending.add(sending)
    sending.add_done_callback(_pending.discard)


def wait_until_sent() -> None:
    """Return when all is on its way: Lambda freezes the process once the answer is given. What is lost is lost."""
    record = _record.get()
    if record and _pending:
        record.sent.wait(_SENT_WITHIN_SECONDS)


def settle(seconds: float = 10.0) -> None:
    """Wait until the database has heard of everything: for programs that end, and tests."""
    wait(list(_pending), seconds)


def _send(record: _Record, event: Mapping[str, object]) -> None:
    def trace(step: str, _: object) -> None:
        if step.endswith("send_request_body.complete"):
            record.sent.set()

    try:
        supabase_access.tell(record.whose(), "record_usage", json.dumps({"p_event": event}).encode(), trace)
    except AppError as error:
        log("usage_not_recorded", error=error)
    finally:
        record.sent.set()
