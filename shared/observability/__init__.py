"""What is known of the invocation that runs: its id, its deadline, how long its parts took; and the log."""

import gc
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Final, Literal, TypeVar, cast

from shared.errors import AppError
from shared.observability.error_tracking import Failure, track
from shared.observability.fields import FIELDS
from shared.observability.metrics import Metric, embedded
from shared.observability.redaction import redact
from shared.observability.tracing import Trace
from shared.settings import telemetry, trace_header

Part = Literal["auth", "image", "storage", "db", "queue"]

REQUEST_ID_HEADER: Final = "x-videomaker-request-id"
"""Tells the database whose work it does. Proxies on the way may set an `X-Request-Id` of their own."""

_MARGIN_SECONDS: Final = 1.0  # what is left to answer in, before Lambda ends the invocation
_MOST_FAILURES: Final = 10

_Result = TypeVar("_Result")


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
    function: str | None = None
    invocation_id: str | None = None
    """Lambda's own id of it."""
    trace: Trace | None = None
    metrics: dict[Metric, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def server_timing(self) -> str:
        """Return the value of the `Server-Timing` header, in milliseconds."""
        total = time.perf_counter() - self.started
        parts = {**self.timings, "total": total}
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in parts.items())


_invocation: ContextVar[Invocation | None] = ContextVar("invocation", default=None)
_is_cold = True


def begin(
    request_id: str,
    remaining_seconds: float,
    *,
    function: str | None = None,
    invocation_id: str | None = None,
    trace: Trace | None = None,
) -> Invocation:
    """Make this the invocation that the current context works for."""
    global _is_cold  # noqa: PLW0603  # of this process
    if not gc.isenabled():  # `functions` has turned it off
        gc.freeze()  # what importing made is here to stay
        gc.enable()
    invocation = Invocation(request_id, time.monotonic() + remaining_seconds - _MARGIN_SECONDS)
    invocation.function, invocation.invocation_id = function or telemetry().function, invocation_id
    invocation.trace = trace or Trace.of_xray(trace_header())
    if _is_cold:
        invocation.metrics["ColdStart"] = 1
        _is_cold = False
    _invocation.set(invocation)
    return invocation


def end(invocation: Invocation, status: int | None = None) -> None:
    """Write what is counted of an invocation, with its answer's status, and tell of its failures; never raises."""
    spent = time.perf_counter() - invocation.started
    figures: dict[Metric, float] = {"Requests": 1, "Duration": round(spent * 1000, 1)}
    for part, seconds in invocation.timings.items():
        figures[cast(Metric, part.capitalize())] = round(seconds * 1000, 1)
    if status is not None and status >= 400:
        figures["Errors" if status >= 500 else "Refused"] = 1
    chosen = telemetry()
    name = invocation.function or "unknown"
    more = embedded(figures | invocation.metrics, name, chosen.stage, time.time_ns() // 1_000_000)
    _write("invocation", logging.INFO, invocation, {"status": status, "invocationId": invocation.invocation_id}, more)
    try:
        track(invocation.failures, {"function": name}, invocation.deadline - time.monotonic())
    except Exception as error:  # such as a SENTRY_DSN that is none
        log("failures_not_tracked", level=logging.WARNING, error=error)


class UnhandledError(Exception):
    """What a handler of events raises in the place of an error whose text may hold input: Lambda logs it."""


def observed(
    function: str,
) -> Callable[[Callable[[Mapping[str, Any], Any], _Result]], Callable[[Mapping[str, Any], Any], _Result]]:
    """Make an invocation of each call of a handler of events: with id and deadline, and measured."""

    def decorate(handle: Callable[[Mapping[str, Any], Any], _Result]) -> Callable[[Mapping[str, Any], Any], _Result]:
        @wraps(handle)
        def handler(event: Mapping[str, Any], context: Any) -> _Result:
            own = context.aws_request_id
            seconds = context.get_remaining_time_in_millis() / 1000
            invocation = begin(own, seconds, function=function, invocation_id=own)
            try:
                return handle(event, context)
            except Exception as error:
                measure("Errors")
                log("unhandled_error", level=logging.ERROR, error=error)
                raise _without_text(error) from None
            finally:
                end(invocation)

        return handler

    return decorate


def _without_text(error: Exception) -> Exception:
    return error if isinstance(error, AppError) or not error.args else UnhandledError(type(error).__name__)


def request_id() -> str | None:
    """Return the id of the request that this invocation works for; None outside of one."""
    invocation = _invocation.get()
    return invocation.request_id if invocation else None


def work_for(request_id: str | None) -> None:
    """Log from now on under the id of the request that has led to this invocation, where one is known."""
    invocation = _invocation.get()
    if invocation and request_id:
        invocation.request_id = request_id


def carry_on(xray_header: str | None) -> None:
    """Go on with the trace of whoever sent the message that is worked on, where it has one."""
    invocation = _invocation.get()
    if invocation and (trace := Trace.of_xray(xray_header)):
        invocation.trace = trace


def outgoing_headers() -> dict[str, str]:
    """Return what a call of another service carries on: the request's id, and its trace."""
    invocation = _invocation.get()
    if invocation is None:
        return {}
    found = {REQUEST_ID_HEADER: invocation.request_id}
    if invocation.trace:
        found |= {"x-amzn-trace-id": invocation.trace.xray, "traceparent": invocation.trace.traceparent}
    return found


def xray_header() -> str | None:
    """Return the trace that messages carry on."""
    invocation = _invocation.get()
    return invocation.trace.xray if invocation and invocation.trace else None


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


def measure(metric: Metric, value: float = 1) -> None:
    """Add to a figure of this invocation."""
    invocation = _invocation.get()
    if invocation:
        invocation.metrics[metric] = round(invocation.metrics.get(metric, 0) + value, 3)


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
# At INFO these write the addresses that were asked for, in which tokens and signatures lie.
for _name in ("mangum", "httpx", "httpcore", "urllib3", "botocore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


def log(event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object) -> None:
    """Write one JSON line, of fields in `FIELDS`: codes, counts, times; never a token, key, signed URL or body.

    An `error` of the level ERROR is also told to whoever tracks errors, once the invocation ends.
    """
    invocation = _invocation.get()
    if error is not None:
        if level >= logging.ERROR:
            _keep(event, error, invocation)
        if isinstance(error, AppError):
            fields = {"code": error.code, **fields}
        fields |= {"error": type(error).__name__, "at": _where(error)}
    _write(event, level, invocation, fields)


def severity(failure: Exception | None) -> int:
    """Return the level at which to log what became of work: an error where we are to blame, not what was given."""
    ours = failure is not None and not (isinstance(failure, AppError) and failure.status < 500)
    return logging.ERROR if ours else logging.INFO


def _write(
    event: str,
    level: int,
    invocation: Invocation | None,
    fields: Mapping[str, object],
    more: Mapping[str, object] | None = None,
) -> None:
    record: dict[str, object] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": logging.getLevelName(level),
        "event": event,
        "requestId": invocation.request_id if invocation else None,
        "function": invocation.function if invocation else telemetry().function,
    }
    if invocation and invocation.trace:
        record["traceId"] = invocation.trace.xray_id
    record |= {name: redact(value) for name, value in fields.items() if name in FIELDS}
    _logger.log(level, json.dumps({**record, **(more or {})}))


def _keep(event: str, error: BaseException, invocation: Invocation | None) -> None:
    if invocation is None or any(one.error is error for one in invocation.failures):
        return
    if len(invocation.failures) < _MOST_FAILURES:
        invocation.failures.append(Failure(event, error, invocation.request_id))


def _where(error: BaseException) -> list[str]:
    """Return the innermost code positions of a traceback, without its message, which may hold input."""
    positions = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        positions.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return positions[-8:]
