"""error_tracking: failures reach a tracker as Sentry's client sends them, and a bad tracker is in nobody's way."""

import json
import time
from contextvars import copy_context
from typing import Any

import pytest
from sentry_sdk.client import _Client

from shared.errors import AppError
from shared.observability import begin, end, error_tracking, log, observed
from tests.client import Context, event, invoke
from tests.infra.running import until
from tests.logs import Lines
from tests.receivers import Manner
from tests.sentry import tracking


def failing(error: Exception, remaining: float = 30, level: int = 40) -> None:
    """Let an invocation fail like this."""

    def run() -> None:
        invocation = begin("request-1", remaining, function="share")
        hidden = "a local secret"
        try:
            raise error
        except Exception as raised:
            log("unhandled_error", level=level, error=raised)
        assert hidden
        end(invocation, 500)

    copy_context().run(run)


def test_a_failure_is_told_with_request_function_stage_and_release(told_to: pytest.MonkeyPatch) -> None:
    told_to.setenv("STAGE", "prod")
    told_to.setenv("RELEASE", "1.2.3")
    with tracking(told_to) as tracker:
        failing(RuntimeError("the password is hunter2"))
        [found] = tracker.events
    assert found["tags"] == {"function": "share", "requestId": "request-1", "event": "unhandled_error"}
    assert (found["environment"], found["release"], found["level"]) == ("prod", "1.2.3", "error")
    [value] = found["exception"]["values"]
    assert (value["type"], value["value"]) == ("RuntimeError", "")
    assert value["stacktrace"]["frames"][-1]["function"] == "run"
    assert found.keys() <= set(error_tracking._KEPT)
    text = tracker.text
    for secret in ("hunter2", "a local secret", '"vars"', "context_line"):
        assert secret not in text


def test_a_cause_is_told_without_what_it_says(told_to: pytest.MonkeyPatch) -> None:
    refused = AppError("database_unavailable")
    refused.__cause__ = ValueError("insert into secrets values ('hunter2')")
    with tracking(told_to) as tracker:
        failing(refused)
        [found] = tracker.events
    told = [(one["type"], one["value"]) for one in found["exception"]["values"]]
    assert told == [("ValueError", ""), ("AppError", "database_unavailable")]
    assert "hunter2" not in tracker.text


def test_a_large_failure_comes_packed(told_to: pytest.MonkeyPatch) -> None:
    with tracking(told_to) as tracker:
        failing(RuntimeError())
        [request] = tracker.receiver.received
    assert request.headers["content-encoding"] == "gzip"


def test_what_is_not_our_failure_is_not_told(told_to: pytest.MonkeyPatch) -> None:
    with tracking(told_to) as tracker:
        failing(AppError("session_not_found"), level=20)
        assert tracker.receiver.connections == 0


def test_the_same_error_is_told_once(told_to: pytest.MonkeyPatch) -> None:
    @observed("render_clip")
    def handler(_event: Any, _context: Any) -> None:
        error = RuntimeError()
        log("clip_settled", level=40, error=error)
        raise error

    with tracking(told_to) as tracker:
        with pytest.raises(RuntimeError):
            copy_context().run(handler, {}, Context())
        assert [one["tags"]["event"] for one in tracker.events] == ["clip_settled"]


@pytest.mark.parametrize("manner", ["hang", "trickle_head", "trickle_body", "garbage", "die", "endless"])
def test_a_tracker_that_misbehaves_holds_nothing_up_for_long(
    told_to: pytest.MonkeyPatch, logged: Lines, manner: Manner, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = []
    flush = _Client.flush

    def allowing(client: _Client, timeout: float) -> None:
        allowed.append(timeout)
        flush(client, timeout)

    monkeypatch.setattr(error_tracking, "_FLUSH_SECONDS", 0.3)
    monkeypatch.setattr(_Client, "flush", allowing)
    with tracking(told_to, manner) as tracker:
        failing(RuntimeError())
        assert allowed == [0.3]
        assert [one["event"] for one in logged.records] == ["unhandled_error", "invocation"]
        until(lambda: tracker.receiver.connections >= 1)


def test_a_tracker_that_hangs_is_left_alone_for_a_while(told_to: pytest.MonkeyPatch) -> None:
    with tracking(told_to, "hang") as tracker:
        failing(RuntimeError(), remaining=1.4)
        assert error_tracking._resting_until > time.monotonic()
        until(lambda: tracker.receiver.connections == 1)
        failing(RuntimeError(), remaining=1.4)
        assert tracker.receiver.connections == 1


def test_without_time_left_nothing_is_told(told_to: pytest.MonkeyPatch) -> None:
    with tracking(told_to) as tracker:
        failing(RuntimeError(), remaining=0.5)
        assert tracker.receiver.connections == 0


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_a_tracker_that_refuses_changes_nothing(told_to: pytest.MonkeyPatch, logged: Lines, status: int) -> None:
    with tracking(told_to, status=status) as tracker:
        failing(RuntimeError())
        assert len(tracker.receiver.received) == 1
    assert [one["event"] for one in logged.records] == ["unhandled_error", "invocation"]


def test_a_dsn_that_is_none_is_told_to_the_log(told_to: pytest.MonkeyPatch, logged: Lines) -> None:
    told_to.setenv("SENTRY_DSN", "no address")
    error_tracking._client.cache_clear()
    failing(RuntimeError())
    assert [one["event"] for one in logged.records][-1] == "failures_not_tracked"


@pytest.mark.parametrize(("manner", "status"), [("answer", 200), ("answer", 500), ("hang", 200)])
def test_an_answer_is_the_same_whatever_the_tracker_does(
    function_environment: pytest.MonkeyPatch, told_to: pytest.MonkeyPatch, manner: Manner, status: int
) -> None:
    function_environment.delenv("SUPABASE_URL")
    with tracking(told_to, manner, status) as tracker:
        answer = invoke("get_frames", event("GET", query={"sessionId": "x"}), Context(seconds=30))
        until(lambda: tracker.receiver.connections == 1)
        told = [one["tags"]["code"] for one in tracker.events]
    assert (answer.status, answer.code) == (503, "not_configured")
    assert told == ["not_configured"]
    assert json.loads(answer.body)["requestId"]
