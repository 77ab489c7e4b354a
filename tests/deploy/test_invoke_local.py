"""`osls invoke local` runs handlers on the embedded stack, as the README shows it."""

import json
import os
import subprocess
from typing import Any

import pytest

from infra.deploy.template import OSLS
from infra.local.stack import Stack
from infra.local.state import TOP

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    if not OSLS.exists():
        subprocess.run(["npm", "ci", "--loglevel=error"], cwd=OSLS.parents[2], check=True)


def invoke(stack: Stack, function: str, folder: str = ".") -> Any:
    osls, event = OSLS.relative_to(TOP), f"tests/events/{function}.json"
    line = f'eval "$(make -s env)" && {osls} invoke local --function {function} --path {event}'
    environment = {**os.environ, "STATE": str(stack.folder), "SLS_NOTIFICATIONS_MODE": "off"}
    run = subprocess.run(
        ["bash", "-c", line], cwd=TOP / folder, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(run.stdout[run.stdout.index("{\n") :])
    return found | {"body": json.loads(found["body"])} if "body" in found else found


def test_a_storyboard_is_uploaded_saved_and_read(stack: Stack) -> None:
    uploaded = invoke(stack, "upload_image")
    assert (uploaded["statusCode"], uploaded["body"]["success"]) == (200, True)
    assert invoke(stack, "save_frames")["statusCode"] == 200
    read = invoke(stack, "get_frames")
    assert read["statusCode"] == 200
    assert read["body"]["session"]["sessionId"] == "a-day-in-the-valley"


def test_a_function_without_a_url_runs_too(stack: Stack) -> None:
    assert invoke(stack, "maintenance")["dryRun"] is True


def test_without_a_stack_the_way_to_one_is_named(tmp_path: Any) -> None:
    environment = {**os.environ, "STATE": str(tmp_path)}
    run = subprocess.run(["make", "-s", "env"], cwd=TOP, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "make up" in run.stderr
