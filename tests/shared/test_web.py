"""web: what every HTTP function has in common."""

import importlib
import json
import re
import threading
from collections.abc import Callable
from inspect import iscoroutinefunction

import pytest
from fastapi.routing import APIRoute

from functions.get_frames import handler as get_frames
from infra.local.state import TOP
from infra.migrate import INFRA
from shared import identity
from shared.errors import AppError
from shared.observability import before_answering
from shared.problems import PROBLEMS
from shared.settings import settings
from tests.client import Client, Context, event, invoke
from tests.logs import Lines
from tests.people import User
from tests.storyboards import png, storyboard

FUNCTIONS = ("upload_image", "save_frames", "get_frames")
ALL_FUNCTIONS = sorted(
    path.parent.name for path in TOP.glob("functions/*/handler.py") if "create_app(" in path.read_text(encoding="utf-8")
)
PROBLEM_MEMBERS = {"success", "type", "title", "status", "detail", "code", "requestId"}


@pytest.mark.parametrize("path", ["/", "/api/get_frames", "/api/get_frames/", ""])
def test_a_function_answers_at_its_root_and_behind_the_apps_rewrite(alice: User, path: str) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    asked = event(
        "GET", path, query={"sessionId": given["sessionId"]}, headers={"Authorization": f"Bearer {alice.token}"}
    )
    assert invoke("get_frames", asked).status == 200


@pytest.mark.parametrize("path", ["/api/save_frames", "/other", "/api/get_framesx", "/api/get_frames/more"])
def test_other_paths_are_not_found(guest: Client, path: str) -> None:
    answer = invoke("get_frames", event("GET", path))
    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("function", "method"), [("upload_image", "GET"), ("save_frames", "DELETE"), ("get_frames", "POST")]
)
def test_other_methods_are_refused_naming_the_right_one(guest: Client, function: str, method: str) -> None:
    answer = invoke(function, event(method, "/"))
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["allow"] in ("POST", "GET")


def test_an_error_is_a_problem_with_everything_a_client_needs(guest: Client) -> None:
    answer = guest.read("missing")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json.keys() == PROBLEM_MEMBERS
    assert answer.json["success"] is False
    assert answer.json["status"] == answer.status == 404
    assert answer.json["type"] == f"urn:videomaker:problem:{answer.code}"
    assert answer.json["requestId"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_answer_has_an_id_and_timings(guest: Client, function: str) -> None:
    answer = invoke(function, event("PATCH", "/"))
    assert answer.headers["x-request-id"]
    assert re.search(r"total;dur=\d+\.\d", answer.headers["server-timing"])


def test_timings_name_the_parts(alice: User) -> None:
    parts = alice.upload(png()).headers["server-timing"]
    assert [part.partition(";")[0] for part in parts.split(", ")] == ["auth", "image", "storage", "total"]


def test_the_clients_request_id_is_kept_where_it_is_a_plain_one(guest: Client) -> None:
    assert guest.read("x", headers={"X-Request-Id": "client-id-0001"}).headers["x-request-id"] == "client-id-0001"
    for bad in ("short", "x" * 200, "new\nline-12345", "späße-12345"):
        context = Context()
        answer = invoke("get_frames", event("GET", query={"sessionId": "x"}, headers={"X-Request-Id": bad}), context)
        assert answer.headers["x-request-id"] == context.aws_request_id


@pytest.mark.parametrize(
    "body", ["", "{", "[1,", "nul", '{"a": 1}}', "\x00", '{"frames": ' + "9" * 5000 + "}", "[" * 100_000]
)
def test_what_is_no_json_is_a_400_or_names_what_is_missing(alice: User, body: str) -> None:
    answer = alice.post_raw("save_frames", body)
    assert (answer.status, answer.code) in [(400, "invalid_json"), (422, "validation_failed")]


def test_bytes_that_are_no_utf_8_are_a_400(alice: User) -> None:
    answer = alice.post_raw("save_frames", b'{"originalPrompt": "\xff\xfe"}')
    assert (answer.status, answer.code) == (400, "invalid_json")


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "image/png", "multipart/form-data; boundary=x", "%%%"]
)
def test_another_content_type_is_a_415(alice: User, kind: str) -> None:
    answer = alice.post_raw("save_frames", json.dumps(storyboard(alice.subject)), Content_Type=kind)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])
def test_json_is_understood_however_its_type_is_written(alice: User, kind: str) -> None:
    assert alice.post_raw("save_frames", json.dumps(storyboard(alice.subject)), Content_Type=kind).status == 200


def test_a_base64_body_is_understood(alice: User) -> None:
    assert alice.post_raw("save_frames", json.dumps(storyboard(alice.subject)).encode()).status == 200


def test_unknown_fields_are_ignored(alice: User) -> None:
    assert alice.save({**storyboard(alice.subject), "unknown": {"deep": [1]}}).status == 200


def test_a_refusal_never_echoes_what_was_sent(alice: User) -> None:
    secret = "s3cret-s3cret"
    given = storyboard(alice.subject, style=secret * 20, videoDuration=secret, sessionId=secret)
    answer = alice.save({**given, "frames": [{"imageUrl": f"https://x/{secret}", "frameId": f"{secret} {secret}"}]})
    assert answer.status == 422
    assert secret not in answer.body.decode()


def test_an_unexpected_error_is_a_500_that_tells_nothing(
    alice: User, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the password is hunter2")

    given = storyboard(alice.subject)
    alice.save(given)
    monkeypatch.setattr(get_frames, "read_page", broken)
    asked = event("GET", query={"sessionId": given["sessionId"]}, headers={"Authorization": f"Bearer {alice.token}"})
    answer = invoke("get_frames", asked, broken=True)
    assert (answer.status, answer.code) == (500, "internal_error")
    assert "hunter2" not in answer.body.decode()
    logged = caplog.text + capfd.readouterr().out
    assert answer.json["requestId"] in logged
    assert "RuntimeError" in logged
    assert "hunter2" not in logged


def test_many_errors_are_cut_to_a_readable_number(alice: User) -> None:
    answer = alice.save({**storyboard(alice.subject), "frames": [{} for _ in range(900)], "frameCount": 900})
    assert answer.status == 422
    assert len(answer.json["errors"]) == 100


def test_missing_settings_are_a_503_that_names_them_to_the_operator(
    guest: Client, function_environment: pytest.MonkeyPatch
) -> None:
    function_environment.delenv("SUPABASE_URL")
    settings.cache_clear()
    answer = guest.read("x")
    assert (answer.status, answer.code) == (503, "not_configured")
    assert "SUPABASE_URL" in answer.json["detail"]


def test_every_problem_says_what_to_do_and_has_an_error_status() -> None:
    for code, problem in PROBLEMS.items():
        assert re.fullmatch(r"[a-z0-9_]+", code)
        assert 400 <= problem.status < 600
        assert problem.title and problem.detail.endswith(".")


def test_a_503_always_says_when_to_come_back() -> None:
    for code, problem in PROBLEMS.items():
        assert (AppError(code).retry_after is not None) == (problem.status in (429, 503))


def test_every_code_that_sql_raises_is_in_the_table() -> None:
    raised = {
        code
        for path in INFRA.glob("schema/*.sql")
        for code in re.findall(r"errcode = 'PT\d+', message = '(\w+)'", path.read_text())
    }
    assert raised
    assert raised <= PROBLEMS.keys()


def test_the_status_that_sql_asks_for_is_the_tables() -> None:
    for path in INFRA.glob("schema/*.sql"):
        for status, code in re.findall(r"errcode = 'PT(\d+)', message = '(\w+)'", path.read_text()):
            assert PROBLEMS[code].status == int(status)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_openapi_document_names_success_and_problem(function: str) -> None:
    answer = invoke(function, event("GET", "/openapi.json"))
    operations = [one for path in answer.json["paths"].values() for one in path.values()]
    assert operations
    for operation in operations:
        assert operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        assert "application/problem+json" in operation["responses"]["default"]["content"]
        assert "422" not in operation["responses"]


def counting(count: Callable[[], None]) -> Callable[..., None]:
    """Return what takes the place of counting a request beside reading."""
    return lambda *_, **__: before_answering(count)


@pytest.mark.parametrize("aside", [AppError("database_unavailable"), RuntimeError("hunter2"), AppError("rate_limited")])
def test_an_answer_that_says_we_failed_is_not_replaced_by_what_fails_beside_it(
    alice: User, monkeypatch: pytest.MonkeyPatch, logged: Lines, aside: Exception
) -> None:
    def fail_beside() -> None:
        raise aside

    def broken(*_: object, **__: object) -> None:
        raise AppError("storage_unavailable")

    session_id = alice.save(storyboard(alice.subject)).json["sessionId"]
    monkeypatch.setattr(identity, "admit", counting(fail_beside))
    monkeypatch.setattr(get_frames, "read_page", broken)
    answer = alice.read(session_id)
    assert (answer.status, answer.code) == (503, "storage_unavailable")
    refused = [one for one in logged.named("refused") if one["requestId"] == answer.headers["x-request-id"]]
    assert [(one["code"], one["level"]) for one in refused] == [("storage_unavailable", "ERROR")]
    assert "hunter2" not in "".join(logged.text)


@pytest.mark.parametrize(
    ("aside", "status", "code"),
    [
        (AppError("rate_limited"), 429, "rate_limited"),
        (AppError("database_unavailable"), 503, "database_unavailable"),
        (RuntimeError("hunter2"), 500, "internal_error"),
    ],
)
def test_what_fails_beside_a_good_answer_takes_its_place(  # noqa: PLR0917
    alice: User, monkeypatch: pytest.MonkeyPatch, logged: Lines, aside: Exception, status: int, code: str
) -> None:
    def fail_beside() -> None:
        raise aside

    session_id = alice.save(storyboard(alice.subject)).json["sessionId"]
    monkeypatch.setattr(identity, "admit", counting(fail_beside))
    given = event("GET", query={"sessionId": session_id}, headers={"Authorization": f"Bearer {alice.token}"})
    answer = invoke("get_frames", given, broken=status == 500)
    assert (answer.status, answer.code) == (status, code)
    assert [one["status"] for one in logged.named("invocation")][-1] == status
    assert "hunter2" not in "".join(logged.text)


def test_each_request_is_measured_once_with_what_it_took_in(alice: User, logged: Lines) -> None:
    answer = alice.upload(png())
    [line] = logged.measured
    assert (line["function"], line["status"], line["requestId"]) == (
        "upload_image",
        200,
        answer.headers["x-request-id"],
    )
    assert {"Requests", "Duration", "Image", "Storage"} <= line.keys()
    assert not {"Errors", "Refused"} & line.keys()


def test_no_thread_is_started_to_answer_a_request_in(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    started, start = [], threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", noted)
    given = storyboard(alice.subject)
    assert alice.save(given).status == 200
    assert alice.read(given["sessionId"]).status == 200
    assert not [name for name in started if name.startswith("AnyIO")]


@pytest.mark.parametrize("function", ALL_FUNCTIONS)
def test_nothing_of_a_function_waits_for_a_thread_of_its_own(function: str) -> None:
    app = importlib.import_module(f"functions.{function}.handler").app
    for route in [one for one in app.routes if isinstance(one, APIRoute)]:
        called = [route.dependant, *route.dependant.dependencies]
        assert [one.call for one in called if not iscoroutinefunction(one.call)] == []
