"""What is known of the invocation that runs: its id, its deadline, how long its parts took; and the log."""

import gc
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

Part = Literal["auth", "image", "storage", "db", "queue"]

_MARGIN_SECONDS = 1.0  # what is left to answer in, before Lambda ends the invocation


@dataclass(slots=True)
class Invocation:
    """One event's id, the monotonic time by which it must be answered, and its timings in seconds."""

    request_id: str
    deadline: float
    started: float = field(default_factory=time.perf_counter)
    timings: dict[str, float] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """What is said in the answer's headers besides."""
    aside: Callable[[], None] | None = None
    """Waits for what runs beside the work and has a say in the answer; raises what speaks against it."""

    def server_timing(self) -> str:
        """Return the value of the `Server-Timing` header, in milliseconds."""
        total = time.perf_counter() - self.started
        parts = {**self.timings, "total": total}
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in parts.items())


_invocation: ContextVar[Invocation | None] = ContextVar("invocation", default=None)


def begin(request_id: str, remaining_seconds: float) -> Invocation:
    """Make this the invocation that the current context works for."""
    if not gc.isenabled():  # `functions` has turned it off
        gc.freeze()  # what importing made is here to stay
        gc.enable()
    invocation = Invocation(request_id, time.monotonic() + remaining_seconds - _MARGIN_SECONDS)
    _invocation.set(invocation)
    return invocation


def request_id() -> str | None:
    """Return the id of the request that this invocation works for; None outside of one."""
    invocation = _invocation.get()
    return invocation.request_id if invocation else None


def work_for(request_id: str) -> None:
    """Log from now on under the id of the request that has led to this invocation."""
    invocation = _invocation.get()
    if invocation:
        invocation.request_id = request_id


def remaining_seconds() -> float:
    """Return how long work may still take, without end outside of an invocation; never negative."""
    invocation = _invocation.get()
    return max(0.0, invocation.deadline - time.monotonic()) if invocation else float("inf")


def add_headers(headers: dict[str, str]) -> None:
    """Say this in the answer's headers too."""
    invocation = _invocation.get()
    if invocation:
        invocation.headers.update(headers)


def before_answering(wait: Callable[[], None]) -> None:
    """Call this before the answer goes out, in the place of which goes what it raises; at once outside of any."""
    invocation = _invocation.get()
    if invocation:
        invocation.aside = wait
    else:
        wait()


@contextmanager
def timed(part: Part) -> Iterator[None]:
    """Add the time spent inside to this part of the invocation's `Server-Timing`."""
    invocation = _invocation.get()
    started = time.perf_counter()
    try:
        yield
    finally:
        if invocation:
            spent = time.perf_counter() - started
            invocation.timings[part] = invocation.timings.get(part, 0.0) + spent


_stream = logging.StreamHandler(sys.stdout)
_stream.setFormatter(logging.Formatter("%(message)s"))
_logger = logging.getLogger("videomaker")
_logger.addHandler(_stream)
_logger.propagate = False
_logger.setLevel(logging.INFO)
# At INFO, Mangum writes each request's path, in which the token of a share link lies.
logging.getLogger("mangum.http").setLevel(logging.WARNING)


def log(event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object) -> None:
    """Write one JSON line. Fields hold codes, counts and times; never a token, key, signed URL or body."""
    invocation = _invocation.get()
    record: dict[str, object] = {
        "level": logging.getLevelName(level),
        "event": event,
        "requestId": invocation.request_id if invocation else None,
        **fields,
    }
    if error is not None:
        record["error"] = type(error).__name__
        record["at"] = _where(error)
    _logger.log(level, json.dumps(record, default=str))


def _where(error: BaseException) -> list[str]:
    """Return the innermost code positions of a traceback, without its message, which may hold input."""
    positions = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        positions.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return positions[-8:]
