"""A running local stack for every test that asks for one."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.local.postgres import delete_cluster
from infra.local.stack import Stack
from infra.local.state import State

pytest_plugins = ["tests.logs", "tests.people", "tests.running_redis", "tests.sharing", "tests.webhooks"]


@contextmanager
def temporary_state() -> Iterator[Path]:
    """A state folder, not made yet, that is gone afterwards, its database too.

    It lies where every user may pass, as pytest's own folders do not: as root, PostgreSQL is another user.
    """
    parent = Path(tempfile.mkdtemp(prefix="videomaker-"))
    if os.geteuid() == 0:
        parent.chmod(0o711)
    folder = parent / "state"
    try:
        yield folder
    finally:
        if folder.exists():
            delete_cluster(State(folder))
        shutil.rmtree(parent, ignore_errors=True)


@pytest.fixture
def state_folder() -> Iterator[Path]:
    """A state folder for a stack of the test's own."""
    with temporary_state() as folder:
        yield folder


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One stack for all tests of this process, so that a test may stop a part of it without disturbing others."""
    with temporary_state() as folder, Stack(folder, port=0) as running:
        with psycopg.connect(running.superuser_url, autocommit=True) as connection:
            # All tests ask from one address.
            connection.execute("update private.rate_limits set amount = 1000 * amount")
        yield running


@pytest.fixture
def database(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    """A connection past all privileges and policies; each statement is committed at once."""
    with psycopg.connect(stack.superuser_url, autocommit=True) as connection:
        yield connection
