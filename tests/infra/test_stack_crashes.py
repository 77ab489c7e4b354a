"""What signals, crashes and killed processes leave of a local stack: its data, and nothing else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from infra.local import postgres
from infra.local.processes import Processes, run_as
from infra.local.stack import STOP_ORDER, Stack
from infra.local.state import State, running_info
from tests.infra.running import alive, children_of, errors_of, execute, info_of, start_up, until, up


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_every_child(state_folder: Path, number: signal.Signals) -> None:
    with up(state_folder) as supervisor:
        children = children_of(state_folder)
        assert set(children) == set(STOP_ORDER)
        os.killpg(supervisor.pid, number)  # as a terminal does: the foreground's whole process group
        assert supervisor.wait(30) == 0
        assert not alive(children)
        assert running_info(state_folder) is None
        assert not (state_folder / "stack.json").exists()


def test_a_signal_during_the_start_stops_every_child(state_folder: Path) -> None:
    with start_up(state_folder) as supervisor:
        until(lambda: bool(children_of(state_folder)))
        children = children_of(state_folder)
        os.killpg(supervisor.pid, signal.SIGINT)
        assert supervisor.wait(30) == 0
        assert not alive(children)


def test_killing_the_supervisor_takes_its_children_along_and_loses_no_row(state_folder: Path) -> None:
    with up(state_folder) as supervisor:
        children = children_of(state_folder)
        _store_row(state_folder)
        supervisor.kill()
        supervisor.wait()
        if sys.platform == "linux":
            until(lambda: not alive(children))
    assert _row_after_restart(state_folder) == [("here",)]


def test_a_start_recovers_when_every_process_was_killed(state_folder: Path) -> None:
    with up(state_folder) as supervisor:
        _store_row(state_folder)
        for pid in (supervisor.pid, *(child["pid"] for child in children_of(state_folder).values())):
            os.kill(pid, signal.SIGKILL)
        supervisor.wait()
    assert _row_after_restart(state_folder) == [("here",)]


def test_a_second_up_on_the_same_folder_is_refused(state_folder: Path) -> None:
    with up(state_folder) as first, start_up(state_folder) as second:
        assert second.wait(30) == 1
        complaint = errors_of(second)
        assert str(first.pid) in complaint
        assert "Traceback" not in complaint
        assert httpx.get(f"{info_of(state_folder)['apiUrl']}/health").status_code == 200


def test_a_child_that_ends_by_itself_stops_everything(state_folder: Path) -> None:
    with up(state_folder) as supervisor:
        children = children_of(state_folder)
        os.kill(children["postgrest"]["pid"], signal.SIGKILL)
        assert supervisor.wait(30) == 1
        assert "postgrest ended" in errors_of(supervisor)
        assert not alive(children)


def test_a_lock_file_whose_number_belongs_to_another_program_is_no_obstacle(state_folder: Path) -> None:
    state = State(state_folder)
    cluster = postgres.open_cluster(state, state.ports(gateway=0)["postgres"])
    cluster.create_cluster()
    processes = Processes(state.processes_file, state.logs)
    stranger = subprocess.Popen(
        ["sleep", "600"], **run_as(cluster.placement.account)
    )  # the server heeds its own user's
    try:
        lock_file = cluster.placement.data / "postmaster.pid"
        lock_file.write_text(f"{stranger.pid}\n{cluster.placement.data}\n0\n0\n\n127.0.0.1\n")
        processes.start(cluster.program())
        processes.wait_ready("postgres")
        assert stranger.poll() is None
    finally:
        processes.stop("postgres")
        stranger.kill()
        stranger.wait()


def _store_row(folder: Path) -> None:
    url = info_of(folder)["databaseUrl"]
    execute(url, "create table kept (value text)")
    execute(url, "insert into kept values ('here')")


def _row_after_restart(folder: Path) -> list[tuple[str]]:
    with Stack(folder, port=0) as stack:
        return execute(stack.info["databaseUrl"], "select value from kept")
