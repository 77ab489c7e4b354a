"""Child processes end with the process that started them, or at its next start."""

import json
import os
from pathlib import Path

import pytest

from infra.local.processes import Processes, Program
from infra.local.state import StackError
from tests.infra.running import alive, children_of, until


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return _processes(tmp_path)


def test_leftovers_of_a_crash_are_ended_at_the_next_start(processes: Processes, tmp_path: Path) -> None:
    processes.start(_child("exec sleep 600", tmp_path))
    children = children_of(tmp_path)
    assert alive(children) == ["child"]
    _processes(tmp_path).end_leftovers()
    assert not alive(children)
    assert not children_of(tmp_path)


def test_a_process_that_took_over_a_recorded_number_is_left_alone(processes: Processes, tmp_path: Path) -> None:
    processes.start(_child("exec sleep 600", tmp_path))
    children = children_of(tmp_path)
    earlier = {**children["child"], "started": children["child"]["started"] - 60}
    (tmp_path / "processes.json").write_text(json.dumps({"child": earlier}))
    _processes(tmp_path).end_leftovers()
    assert alive(children) == ["child"]
    processes.stop("child")
    assert not alive(children)


def test_a_child_that_ignores_its_stop_signal_is_killed(processes: Processes, tmp_path: Path) -> None:
    processes.start(_child("trap '' TERM; touch ready; while :; do sleep 0.1; done", tmp_path))
    until((tmp_path / "ready").exists)
    children = children_of(tmp_path)
    processes.stop("child", seconds=0.2)
    assert not alive(children)


def test_a_paused_child_can_be_stopped(processes: Processes, tmp_path: Path) -> None:
    processes.start(_child("exec sleep 600", tmp_path))
    children = children_of(tmp_path)
    processes.pause("child")
    processes.stop("child")
    assert not alive(children)


def test_a_failed_start_shows_the_end_of_the_log(processes: Processes, tmp_path: Path) -> None:
    processes.start(_child("echo 'no such tablespace' >&2; exit 3", tmp_path))
    with pytest.raises(StackError, match="status 3") as failure:
        processes.wait_ready("child")
    assert "no such tablespace" in str(failure.value)


def test_a_child_that_never_serves_is_named(processes: Processes, tmp_path: Path) -> None:
    processes.start(_child("exec sleep 600", tmp_path))
    with pytest.raises(StackError, match="child did not serve"):
        processes.wait_ready("child", seconds=0.1)
    processes.stop("child")


def _processes(folder: Path) -> Processes:
    return Processes(folder / "processes.json", folder)


def _child(script: str, folder: Path) -> Program:
    return Program("child", ["sh", "-c", script], {"PATH": os.defpath}, ready=lambda: False, folder=folder)
