"""One handler, run by hand: in a process of its own, as `make invoke` does."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.local.invoke import readable
from infra.local.state import State, write_json
from tests.infra.gateway_functions import TOP, make_task_root


@pytest.fixture
def task_root(tmp_path: Path) -> Path:
    return make_task_root(tmp_path)


def invoke(task_root: Path, function: str, event: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    event_file = task_root / "event.json"
    event_file.write_text(event if isinstance(event, str) else json.dumps(event))
    no_stack = {"STATE": str(task_root / "state"), "SERVERLESS_YML": str(task_root / "serverless.yml")}
    return subprocess.run(
        [sys.executable, "-m", "infra.local.invoke", function, str(event_file)],
        cwd=TOP,
        env={**os.environ, **no_stack, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def result_of(run: "subprocess.CompletedProcess[str]") -> Any:
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_a_result_is_printed_as_json(task_root: Path) -> None:
    answer = result_of(invoke(task_root, "probe", {"rawPath": "/echo", "text": "é"}))
    assert answer["statusCode"] == 200
    assert answer["body"]["event"]["text"] == "é"


def test_any_event_reaches_a_function_without_a_url(task_root: Path) -> None:
    handler = (
        "def handler(event, context):\n    return [record['s3']['object']['key'] for record in event['Records']]\n"
    )
    (task_root / "functions" / "broken" / "handler.py").write_text(handler)
    event = {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "u%2F1+%C3%A4.png"}}}]}
    assert result_of(invoke(task_root, "broken", event)) == ["u%2F1+%C3%A4.png"]


def test_the_handler_has_a_lambda_context_and_the_callers_environment(task_root: Path) -> None:
    seen = result_of(invoke(task_root, "probe", {"rawPath": "/about"}, ALREADY_SET="by the caller"))
    assert seen["context"]["function_name"] == seen["variables"]["AWS_LAMBDA_FUNCTION_NAME"] == "probe"
    assert seen["variables"]["ALREADY_SET"] == "by the caller"
    assert 0 < seen["remaining"] <= 30_000


def test_the_handler_works_on_the_running_stack(task_root: Path) -> None:
    state = State(task_root / "state")
    info = {"apiUrl": "http://api", "supabaseUrl": "http://stack", "anonKey": "anon", "serviceKey": "service"}
    info |= {"awsEndpointUrl": "http://aws"}
    event = {"rawPath": "/about"}
    with state.locked():
        write_json(state.stack_file, info)
        running = result_of(invoke(task_root, "probe", event, SUPABASE_URL="http://elsewhere"))["variables"]
    stopped = result_of(invoke(task_root, "probe", event, SUPABASE_URL="http://elsewhere"))["variables"]
    assert running["SUPABASE_URL"] == "http://stack"
    assert running["SUPABASE_SERVICE_KEY"] == "service"
    assert running["SUPABASE_JWT_SECRET"] == state.keys().jwt_secret
    assert running["GUEST_SECRET"] == state.secrets().guest_secret
    assert running["AWS_ENDPOINT_URL"] == "http://aws"
    assert stopped["SUPABASE_URL"] == "http://elsewhere"


def test_an_exception_is_shown_and_fails(task_root: Path) -> None:
    run = invoke(task_root, "probe", {"rawPath": "/fail"})
    assert (run.returncode, run.stdout) == (1, "")
    assert "ValueError: a reason for the log only" in run.stderr


def test_a_module_that_cannot_be_imported_fails(task_root: Path) -> None:
    run = invoke(task_root, "broken", {})
    assert run.returncode == 1
    assert "broken at import" in run.stderr


def test_a_result_that_lambda_could_not_return_fails(task_root: Path) -> None:
    assert invoke(task_root, "probe", {"rawPath": "/unserialisable"}).returncode == 1


def test_an_unknown_function_is_answered_with_the_known_ones(task_root: Path) -> None:
    run = invoke(task_root, "nothing", {})
    assert run.returncode == 1
    assert "probe" in run.stderr


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_an_event_that_is_not_json_fails(task_root: Path, text: str) -> None:
    run = invoke(task_root, "probe", text)
    assert run.returncode == 1
    assert "event.json is not an event" in run.stderr


@pytest.mark.parametrize(
    ("body", "encoded", "shown"),
    [
        ('{"a": 1}', False, {"a": 1}),
        ("plain", False, "plain"),
        (base64.b64encode('{"é": 1}'.encode()).decode(), True, {"é": 1}),
        (base64.b64encode("é".encode()).decode(), True, "é"),
    ],
)
def test_a_text_body_is_decoded(body: str, encoded: bool, shown: object) -> None:
    result = {"statusCode": 200, "body": body, "isBase64Encoded": encoded}
    assert readable(result) == {"statusCode": 200, "body": shown, "isBase64Encoded": False}


@pytest.mark.parametrize("result", [None, [1], "x", {"body": None}, {"body": "iVBORw==", "isBase64Encoded": True}])
def test_what_is_no_text_is_left_as_it_is(result: object) -> None:
    assert readable(result) == result


def test_the_project_has_an_event_for_each_function_url() -> None:
    events = {path.stem: json.loads(path.read_text()) for path in (TOP / "tests" / "events").glob("*.json")}
    assert {"upload_image", "save_frames", "get_frames"} <= events.keys()
    upload = json.loads(events["upload_image"]["body"])
    assert base64.b64decode(upload["imageData"]).startswith(b"\x89PNG\r\n")
