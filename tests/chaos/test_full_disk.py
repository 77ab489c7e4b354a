"""The disk is full while people work, until PostgreSQL ends of it: nothing that was promised is lost.

On a stack of its own, whose database and files lie on one small disk. That is a file system in memory, where to sync
means nothing, so that other faults are not tried on it. The log lies on another disk, as a deployment's does.
"""

import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from infra.local.contract_fuzz import unlimited
from infra.local.stack import Stack
from infra.local.state import StackError
from tests.chaos.shaking import Traffic, broken_promises, told
from tests.conftest import temporary_state
from tests.limited_disk import LimitedDisk, limited_disk

SECONDS = float(os.environ.get("SECONDS") or 4)
PEOPLE = 4
FULL_SECONDS, QUIET_SECONDS = 1.0, 0.6
NO_ROOM, NO_ROOM_FOR_LOG = "no room", "no room for the write-ahead log"


@pytest.fixture
def disk() -> Iterator[LimitedDisk]:
    with temporary_state() as folder:
        folder.mkdir()
        with limited_disk(folder, megabytes=512) as disk:
            yield disk


@pytest.fixture
def shaken(disk: LimitedDisk, tmp_path: Path) -> Iterator[Stack]:
    (disk.folder / "logs").symlink_to(tmp_path)
    with Stack(disk.folder, port=0) as stack:
        unlimited(stack)
        yield stack


@pytest.mark.timeout(SECONDS * 3 + 300)
@pytest.mark.usefixtures("service")
def test_what_was_promised_holds_when_the_disk_is_full(
    shaken: Stack, disk: LimitedDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(10_000))
    traffic = Traffic(shaken, PEOPLE, seed)
    ledger = traffic.ledger
    happened: Counter[str] = Counter()
    ends = 0
    try:
        until = time.monotonic() + SECONDS
        for fault in itertools.cycle([NO_ROOM, NO_ROOM_FOR_LOG]):
            time.sleep(QUIET_SECONDS)
            with disk.full():
                if fault == NO_ROOM_FOR_LOG:
                    _fill_log(shaken)
                time.sleep(FULL_SECONDS)
            ends += _had_ended(shaken)
            happened[fault] += 1
            if time.monotonic() > until and len(happened) == 2:
                break
        time.sleep(QUIET_SECONDS)
    finally:
        traffic.end()
    with capsys.disabled():
        print(f"\n{told(seed, ledger, happened)}\nPostgreSQL ended {ends} times.")
    assert broken_promises(shaken, traffic) == {}
    assert ledger.uploads
    assert ledger.failures


def _fill_log(stack: Stack) -> None:
    """Begin one file of the write-ahead log after the other, until the next finds no room."""
    with pytest.raises(psycopg.Error), psycopg.connect(stack.superuser_url, autocommit=True) as connection:
        while True:
            connection.execute("select pg_logical_emit_message(true, '', ''), pg_switch_wal()")


def _had_ended(stack: Stack) -> bool:
    """Return once PostgreSQL serves again, and whether it had to be started for that, as a supervisor would."""
    had_ended = False
    while True:
        try:
            stack.watch()
        except StackError as error:
            if not str(error).startswith("postgres"):
                raise
            stack.start_child("postgres")
            had_ended = True
        with suppress(psycopg.OperationalError):
            psycopg.connect(stack.superuser_url).close()
            return had_ended
        time.sleep(0.05)
