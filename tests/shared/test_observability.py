"""observability: lines of known fields, one line of metrics for each invocation, traces, and nothing secret."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any, cast, get_args

import pytest

from shared import observability
from shared.errors import AppError
from shared.observability import (
    UnhandledError,
    begin,
    carry_on,
    end,
    log,
    measure,
    observed,
    outgoing_headers,
    timed,
    work_for,
    xray_header,
)
from shared.observability.fields import ALWAYS, FIELDS
from shared.observability.metrics import UNITS, Metric
from shared.observability.redaction import MARK, redact
from shared.observability.tracing import Trace
from tests.client import Context
from tests.logs import Lines

TOP = Path(__file__).parents[2]
XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
TRACEPARENT = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"


@pytest.fixture(autouse=True)
def own_context() -> Iterator[None]:
    """Leave no invocation behind."""
    token = observability._invocation.set(None)
    yield
    observability._invocation.reset(token)


def calls_of_log() -> Iterator[tuple[str, ast.Call]]:
    for path in [*(TOP / "shared").rglob("*.py"), *(TOP / "functions").glob("*/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "log":
                yield f"{path.name}:{node.lineno}", node


def test_every_field_that_is_logged_has_a_name_here() -> None:
    for place, call in calls_of_log():
        named = {keyword.arg for keyword in call.keywords if keyword.arg} - {"level", "error"}
        assert named <= FIELDS, place


def test_every_event_is_named_by_a_constant() -> None:
    """Else input might be part of a line by its name."""
    for place, call in calls_of_log():
        assert isinstance(call.args[0], ast.Constant | ast.Name), place


def test_what_has_no_name_is_not_written(logged: Lines) -> None:
    begin("request-1", 30, function="share")
    log("tried", password="hunter2", count=1)
    [line] = logged.records
    assert line.keys() == {*ALWAYS, "count"}
    assert (line["requestId"], line["function"], line["level"]) == ("request-1", "share", "INFO")


def test_an_error_is_told_by_its_type_and_place_and_a_code_of_ours(logged: Lines) -> None:
    def fail() -> None:
        raise ValueError("the password is hunter2")

    try:
        fail()
    except ValueError as error:
        log("failed", error=error)
    log("failed", error=AppError("rendering_failed", "a detail"))
    first, second = logged.records
    assert (first["error"], first["at"][-1].split()[-1]) == ("ValueError", "fail")
    assert (second["error"], second["code"]) == ("AppError", "rendering_failed")
    assert "hunter2" not in "".join(logged.text)


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "vm_h4y0q2w8k1zt_8JqVsecret",
        "whsec_Vpw5GHrw6Fj1vIealf0CQFd7wPTm2jNOKltCqLaRsGc=",
        "sb_secret_abcdef",
        "guest_3e5177d3c1693ba7fd2240d77f0241f7",
        "Bearer abc.def",
        "Basic dXNlcjpwYXNz",
        "user:pass",
        "token=signed",
        "data:image/png;base64,iVBORw0KGgo=",
    ],
)
def test_what_looks_like_a_secret_is_cut_out(secret: str) -> None:
    written = {"user:pass": f"https://{secret}@example.com", "token=signed": f"https://example.com/x?{secret}"}
    for given in (text := written.get(secret, secret), f"see {text}, please", {"deep": [text]}, {text: 1}):
        assert secret not in json.dumps(redact(given))
        assert MARK in json.dumps(redact(given))


def test_what_is_harmless_stays() -> None:
    given = {"count": 3, "ratio": 0.5, "is": True, "none": None, "at": ["web.py:131 __call__"], "code": "not_found"}
    assert redact(given) == given
    assert len(redact("x" * 10_000)) == 500


def test_the_line_of_an_invocation_makes_metrics(logged: Lines, told_to: pytest.MonkeyPatch) -> None:
    told_to.setenv("STAGE", "prod")
    invocation = begin("request-1", 30, function="get_frames", invocation_id="lambda-1")
    with timed("db"):
        pass
    measure("BytesIn", 100)
    measure("BytesIn", 20)
    end(invocation, 200)
    [line] = logged.named("invocation")
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Videomaker", [["function", "stage"]])
    assert (line["function"], line["stage"]) == ("get_frames", "prod")
    assert (line["requestId"], line["invocationId"], line["status"]) == ("request-1", "lambda-1", 200)
    for metric in directive["Metrics"]:
        assert metric["Unit"] == UNITS[metric["Name"]]
        assert isinstance(line[metric["Name"]], int | float)
    assert {one["Name"] for one in directive["Metrics"]} - {"ColdStart"} == {"Requests", "Duration", "Db", "BytesIn"}
    assert (line["Requests"], line["BytesIn"]) == (1, 120)
    assert isinstance(line["_aws"]["Timestamp"], int)


@pytest.mark.parametrize(("status", "counted"), [(200, None), (304, None), (404, "Refused"), (503, "Errors")])
def test_answers_are_counted_by_what_they_say(logged: Lines, status: int, counted: str | None) -> None:
    end(begin("request-1", 30, function="share"), status)
    assert {"Errors", "Refused"} & logged.records[-1].keys() == ({counted} if counted else set())


def test_every_metric_has_a_unit_and_each_part_is_one() -> None:
    assert set(get_args(Metric)) == set(UNITS)
    assert {cast(Metric, part.capitalize()) for part in get_args(observability.Part)} <= UNITS.keys()


def test_only_the_first_invocation_of_a_process_is_cold() -> None:
    code = "from shared.observability import begin, end\nfor n in '12': end(begin('request-' + n, 30), 200)"
    run = subprocess.run([sys.executable, "-c", code], cwd=TOP, check=True, capture_output=True, text=True)
    first, second = map(json.loads, run.stdout.splitlines())
    assert (first.get("ColdStart"), second.get("ColdStart")) == (1, None)


def test_neither_sentry_nor_powertools_is_imported_for_it() -> None:
    code = (
        "import sys; from shared.observability import begin, end, log; i = begin('request-1', 30);"
        " log('failed', level=40, error=ValueError()); end(i, 500);"
        " sys.exit(bool({'sentry_sdk', 'urllib3', 'aws_lambda_powertools'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=TOP, env={}, check=True)


def test_an_event_function_is_measured_and_what_it_raises_tells_nothing(logged: Lines) -> None:
    @observed("maintenance")
    def handler(event: Any, context: Any) -> None:
        work_for("request-1")
        raise RuntimeError(f"no such row: {event['secret']}")

    with pytest.raises(UnhandledError, match="RuntimeError") as raised:
        copy_context().run(handler, {"secret": "hunter2"}, Context())
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert [one["event"] for one in logged.records] == ["unhandled_error", "invocation"]
    assert {one["requestId"] for one in logged.records} == {"request-1"}
    assert (logged.records[1]["Errors"], logged.records[1]["function"]) == (1, "maintenance")


def test_an_error_of_ours_leaves_as_it_is_without_its_cause() -> None:
    @observed("on_upload")
    def handler(event: Any, context: Any) -> None:
        try:
            raise ValueError("hunter2")
        except ValueError as error:
            raise AppError("storage_unavailable") from error

    with pytest.raises(AppError) as raised:
        copy_context().run(handler, {}, Context())
    assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)


def test_xrays_header_is_read_and_carried_on(monkeypatch: pytest.MonkeyPatch, logged: Lines) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", XRAY)
    begin("request-1", 30)
    log("tried")
    assert logged.records[0]["traceId"] == "1-5759e988-bd862e3fe1be46a994272793"
    assert xray_header() == XRAY
    sent = outgoing_headers()
    assert (sent["x-amzn-trace-id"], sent["traceparent"]) == (XRAY, TRACEPARENT)
    assert sent[observability.REQUEST_ID_HEADER] == "request-1"


def test_a_message_brings_its_senders_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-00000001-000000000000000000000001")
    begin("request-1", 30)
    carry_on(None)
    carry_on("nonsense")
    assert xray_header() == "Root=1-00000001-000000000000000000000001"
    carry_on(XRAY)
    assert xray_header() == XRAY


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00-" + "0" * 32 + "-53995c3f42cd8ad8-01",
        "00-5759e988bd862e3fe1be46a994272793-" + "0" * 16 + "-01",
        "ff-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
        "00-5759E988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
        "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8",
        "x" * 10_000,
    ],
)
def test_a_traceparent_that_is_none_counts_as_none(header: str | None) -> None:
    assert Trace.of_traceparent(header) is None


def test_both_ways_of_writing_a_trace_are_the_same() -> None:
    assert Trace.of_traceparent(TRACEPARENT) == Trace.of_xray(XRAY)
    undecided = Trace.of_xray("Root=1-5759e988-bd862e3fe1be46a994272793")
    assert undecided
    assert (undecided.xray, undecided.sampled) == ("Root=1-5759e988-bd862e3fe1be46a994272793", None)
    assert Trace.of_traceparent(undecided.traceparent)


@pytest.mark.parametrize("header", ["Root=1-5759e988", "Parent=53995c3f42cd8ad8", "Root=1-x;y", "=", "Root"])
def test_an_xray_header_that_is_none_counts_as_none(header: str) -> None:
    assert Trace.of_xray(header) is None
