"""PostgreSQL runs for root and for an ordinary user, wherever the clone and its state folder lie."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from infra.local import placement, postgres
from infra.local.__main__ import reset
from infra.local.stack import Stack
from infra.local.state import State
from tests.conftest import temporary_state
from tests.infra.running import children_of, execute, info_of, up

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about what root does")


@as_root
def test_root_keeps_the_database_elsewhere_when_others_cannot_reach_the_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folder = tmp_path / "state"
    try:
        with Stack(folder, port=0) as stack:
            execute(stack.superuser_url, "create table kept ()")
            assert psutil.Process(children_of(folder)["postgres"]["pid"]).uids().effective != 0
        data = placement.data_folder(State(folder))
        assert data.is_dir()
        assert not data.is_relative_to(folder)
    finally:
        reset(folder)
    assert not data.exists()


@as_root
def test_programs_that_others_cannot_reach_are_copied_once(state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_state() as shared:
        monkeypatch.setattr(placement, "SHARED_FOLDER", shared)
        monkeypatch.setattr(placement, "_others_reach", lambda path: path == state_folder)
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(placement.place, [State(state_folder)] * 2)
        assert first == second
        assert first.programs.is_relative_to(shared)
        assert len(list(shared.iterdir())) == 1
        assert postgres.open_cluster(State(state_folder), port=0).create_cluster()


@as_root
def test_root_goes_on_with_the_database_of_an_ordinary_user(state_folder: Path) -> None:
    owner = placement.unprivileged_account()
    data = State(state_folder).path / "postgres"
    data.mkdir(mode=0o700)
    os.chown(data, owner.uid - 1, owner.gid)
    assert placement.place(State(state_folder)).data == data
    account = placement.place(State(state_folder)).account
    assert account
    assert account.uid == owner.uid - 1


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv to become another user")
def test_an_ordinary_user_can_run_it(state_folder: Path) -> None:
    user = placement.unprivileged_account()
    state_folder.mkdir()
    os.chown(state_folder, user.uid, user.gid)
    become = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]
    # The interpreter and the clone may lie below root's home: reading, and only that, is allowed everywhere.
    become += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    with up(state_folder, become) as supervisor:
        for pid in (supervisor.pid, *(child["pid"] for child in children_of(state_folder).values())):
            assert psutil.Process(pid).uids().effective == user.uid
        assert httpx.get(f"{info_of(state_folder)['apiUrl']}/health").status_code == 200
        os.killpg(supervisor.pid, signal.SIGINT)
        assert supervisor.wait(30) == 0
    assert (state_folder / "postgres").stat().st_mode & 0o777 == 0o700
