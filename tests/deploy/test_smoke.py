"""The smoke test: passes on a deployment that works, fails on one that does not, and leaves nothing behind."""

import json
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.deploy import smoke
from infra.deploy.calls import SmokeError
from infra.local.stack import Stack
from infra.local.state import TOP
from tests.people import User

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCESS_TOKEN", raising=False)
    monkeypatch.delenv("API_KEY", raising=False)


def sessions(database: psycopg.Connection[Any]) -> int:
    found = database.execute("select count(*) from public.video_sessions where original_prompt = 'Smoke test'")
    return int(found.fetchall()[0][0])


def test_a_guest_passes_by_one_base_url(stack: Stack, database: psycopg.Connection[Any]) -> None:
    command = ["make", "--silent", "smoke", f"API_URL={stack.info['apiUrl']}"]
    run = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.count("ok  ") == 11
    assert sessions(database) == 0


def test_a_user_passes_by_function_urls_and_leaves_no_files(
    stack: Stack,
    alice: User,
    tmp_path: Path,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [path.parent.name for path in (TOP / "functions").glob("*/handler.py")]
    file = tmp_path / "urls-dev.json"
    file.write_text(json.dumps({"functionUrls": dict.fromkeys(names, f"{stack.info['apiUrl']}/")}))
    monkeypatch.setenv("ACCESS_TOKEN", str(alice.token))
    assert smoke.main(str(file)) == 0
    left = database.execute("select count(*) from storage.objects where name like %s", (f"{alice.subject}/%",))
    assert left.fetchall()[0][0] == 0


def test_what_was_made_is_deleted_where_a_check_fails(
    stack: Stack,
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def no_video(_smoke: smoke.Smoke) -> None:
        assert sessions(database) == 1
        raise SmokeError("no video today")

    monkeypatch.setattr(smoke.Smoke, "a_video_is_made", no_video)
    assert smoke.main(stack.info["apiUrl"]) == 1
    said = capsys.readouterr()
    assert "no video today" in said.err
    assert "everything is deleted" in said.out
    assert sessions(database) == 0


def test_a_service_that_is_another_one_fails(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main(stack.info["supabaseUrl"]) == 1
    assert "FAILED" in capsys.readouterr().err


def test_an_answer_that_is_not_as_described_fails(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("infra.deploy.calls.difference", lambda *_: "`code` is missing")
    assert smoke.main(stack.info["apiUrl"]) == 1
    assert "`code` is missing" in capsys.readouterr().err


def test_an_address_that_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main("build/urls-nowhere.json") == 1
    assert "build/urls-nowhere.json" in capsys.readouterr().err
