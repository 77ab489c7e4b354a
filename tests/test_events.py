"""Every function has a sample event, and takes it, as `make invoke` and `osls invoke local` hand it over."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from infra.local.gateway.configuration import Service
from infra.local.state import TOP
from tests.client import invoke, run_handler

EVENTS = sorted((TOP / "tests" / "events").glob("*.json"))
FUNCTIONS = Service(TOP / "serverless.yml").functions


def function_of(path: Path) -> str:
    return max((name for name in FUNCTIONS if f"{path.stem}_".startswith(f"{name}_")), key=len, default="")


def test_every_function_has_one_and_each_is_a_functions() -> None:
    assert {function_of(path) for path in EVENTS} == FUNCTIONS.keys()


@pytest.mark.usefixtures("function_environment")
@pytest.mark.parametrize(
    "path", [path for path in EVENTS if FUNCTIONS[function_of(path)].has_url], ids=lambda p: p.stem
)
def test_a_request_is_answered_as_the_document_describes(path: Path) -> None:
    answer = invoke(function_of(path), json.loads(path.read_text()))
    assert answer.headers["x-request-id"]
    assert answer.status != 422  # the body is one that the function takes


@pytest.mark.usefixtures("function_environment")
@pytest.mark.parametrize(
    "path", [path for path in EVENTS if not FUNCTIONS[function_of(path)].has_url], ids=lambda p: p.stem
)
def test_an_event_is_taken(path: Path) -> None:
    handler: Any = importlib.import_module(f"functions.{function_of(path)}.handler").handler
    found = run_handler(handler, json.loads(path.read_text()))
    if FUNCTIONS[function_of(path)].sources:
        assert set(found or {}) <= {"batchItemFailures"}
