"""The local stack serves, keeps what it stored, and lets a test take parts of it away."""

import json
import socket
from pathlib import Path

import httpx
import psutil
import pytest

from infra.local.__main__ import reset, status
from infra.local.stack import Stack
from infra.local.state import StackError, State, running_info
from tests.infra.running import alive, children_of, execute, until

SECRETIVE = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "GITHUB_TOKEN")


def test_a_second_start_keeps_keys_ports_and_rows(state_folder: Path) -> None:
    with Stack(state_folder, port=0) as stack:
        first, environment = stack.info, stack.function_environment()
        execute(first["databaseUrl"], "create table kept (value text)")
        execute(first["databaseUrl"], "insert into kept values ('here')")
    with Stack(state_folder, port=0) as stack:
        assert stack.info == first
        assert stack.function_environment() == environment
        assert execute(first["databaseUrl"], "select value from kept") == [("here",)]


def test_two_stacks_run_side_by_side(stack: Stack, state_folder: Path) -> None:
    with Stack(state_folder, port=0) as other:
        assert not set(stack.info.values()) & set(other.info.values())
        for running in (stack, other):
            assert httpx.get(f"{running.info['apiUrl']}/health").status_code == 200
            assert httpx.get(f"{running.info['supabaseUrl']}/health").status_code == 200


def test_the_written_file_says_what_clients_need(stack: Stack) -> None:
    assert json.loads((stack.folder / "stack.json").read_text()) == stack.info == running_info(stack.folder)


def test_the_ingest_bucket_exists(stack: Stack) -> None:
    environment = stack.function_environment()
    address = f"{environment['AWS_ENDPOINT_URL']}/{environment['INGEST_BUCKET']}"
    assert httpx.get(address).status_code == 200
    assert httpx.get(f"{address}-not").status_code == 404


def test_the_database_knows_the_case_of_all_letters(stack: Stack) -> None:
    assert execute(stack.superuser_url, "select lower('ÄÉЖ')") == [("äéж",)]


def test_a_taken_gateway_port_is_named(stack: Stack, state_folder: Path) -> None:
    taken = stack.info["apiUrl"].rpartition(":")[2]
    with pytest.raises(StackError, match=f"Port {taken} is in use"), Stack(state_folder, port=int(taken)):
        pass
    assert not alive(children_of(state_folder))


@pytest.mark.parametrize("port", ["gateway", "-1", "65536"])
def test_a_port_that_is_none_is_refused(state_folder: Path, port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", port)
    with pytest.raises(StackError, match="is no port number"):
        Stack(state_folder)


def test_taken_remembered_ports_are_replaced(state_folder: Path) -> None:
    state = State(state_folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        (state_folder / "ports.json").write_text(json.dumps({"supabase": taken, "aws": taken}))
        ports = state.ports(gateway=0)
        assert taken not in ports.values()
        assert len(set(ports.values())) == len(ports)
    assert state.ports(gateway=0) == ports


def test_a_child_can_be_stopped_and_started_again(stack: Stack) -> None:
    health = f"{stack.info['supabaseUrl']}/health"
    stack.stop_child("supabase")
    with pytest.raises(httpx.ConnectError):
        httpx.get(health)
    stack.start_child("supabase")
    assert httpx.get(health).status_code == 200


def test_the_stack_serves_again_after_its_database_was_stopped(stack: Stack) -> None:
    headers = {"apikey": stack.info["serviceKey"], "Authorization": f"Bearer {stack.info['serviceKey']}"}
    address = f"{stack.info['supabaseUrl']}/rest/v1/video_sessions?limit=1"
    stack.stop_child("postgres")
    assert httpx.get(address, headers=headers, timeout=20).status_code == 503
    stack.start_child("postgres")
    until(lambda: httpx.get(address, headers=headers, timeout=20).status_code == 200)


def test_a_paused_child_accepts_and_does_not_answer(stack: Stack) -> None:
    health = f"{stack.info['apiUrl']}/health"
    stack.pause_child("gateway")
    try:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(health, timeout=0.5)
    finally:
        stack.resume_child("gateway")
    assert httpx.get(health).status_code == 200


def test_an_unknown_child_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="postgres"):
        stack.start_child("redis")


def test_children_do_not_see_the_developers_own_environment(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETIVE:
        monkeypatch.setenv(name, "the-developers-own")
    assert "the-developers-own" not in stack.function_environment().values()
    for name in ("aws", "gateway", "supabase", "postgrest"):
        stack.start_child(name)
        child = psutil.Process(children_of(stack.folder)[name]["pid"])
        assert "the-developers-own" not in child.environ().values()


def test_a_developer_may_choose_settings_of_the_functions(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stack.function_environment()["GUEST_ACCESS"] == "on"
    monkeypatch.setenv("GUEST_ACCESS", "off")
    assert stack.function_environment()["GUEST_ACCESS"] == "off"


def test_only_the_owner_can_read_what_the_folder_keeps(stack: Stack) -> None:
    for path in stack.folder.iterdir():
        others = 0o066 if path.is_dir() else 0o077
        assert path.stat().st_mode & others == 0, path.name


def test_status_tells_whether_a_stack_runs(
    stack: Stack, state_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(stack.folder) == 0
    assert stack.info["apiUrl"] in capsys.readouterr().out
    (State(state_folder).path / "stack.json").write_text(json.dumps(stack.info))  # as a crash would leave it
    assert status(state_folder) == 1
    assert stack.info["apiUrl"] not in capsys.readouterr().out


def test_reset_deletes_everything_but_not_under_a_running_stack(stack: Stack, state_folder: Path) -> None:
    with pytest.raises(StackError, match="already runs"):
        reset(stack.folder)
    assert (stack.folder / "keys.json").exists()
    State(state_folder).keys()
    reset(state_folder)
    assert not state_folder.exists()
