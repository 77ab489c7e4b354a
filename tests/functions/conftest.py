"""Fixtures: what the functions stand on, in a test's own hands."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from functions.deliver_webhook import handler as deliver_webhook
from infra.local.stack import Stack
from shared.settings import settings
from tests.client import JsonObject
from tests.faults import FaultyUpstream
from tests.people import User
from tests.receivers import Receiver, receiving
from tests.videos import Job, Queues, stored_storyboard


@pytest.fixture
def upstream(stack: Stack, function_environment: pytest.MonkeyPatch) -> Iterator[FaultyUpstream]:
    """Supabase behind a proxy that fails on demand."""
    found = FaultyUpstream(stack.info["supabaseUrl"])
    function_environment.setenv("SUPABASE_JWT_ISSUER", f"{stack.info['supabaseUrl']}/auth/v1")
    function_environment.setenv("SUPABASE_URL", found.url)
    settings.cache_clear()
    yield found
    found.close()


@pytest.fixture
def queues(function_environment: pytest.MonkeyPatch) -> Queues:
    """The workers' queues, which nobody else polls."""
    found = Queues.made()
    for name, url in found.urls.items():
        function_environment.setenv(f"{name.upper()}_QUEUE_URL", url)
    settings.cache_clear()
    return found


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of the test's own; nothing may be left in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that webhooks are delivered to."""
    with receiving() as found:
        yield found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a slow receiver for two seconds only."""
    monkeypatch.setattr(deliver_webhook, "ATTEMPT_SECONDS", 2.0)


@pytest.fixture
def session(alice: User) -> JsonObject:
    """A storyboard of two frames and two seconds, with real images."""
    return stored_storyboard(alice, 2, 2)


@pytest.fixture
def job(alice: User, queues: Queues, database: psycopg.Connection[Any], session: JsonObject) -> Job:
    """A video of the session, whose clips wait to be rendered."""
    return Job(alice, queues, database, session["sessionId"])


@pytest.fixture
def private_bucket(database: psycopg.Connection[Any], function_environment: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the media bucket be private."""
    function_environment.setenv("BUCKET_ACCESS", "private")
    settings.cache_clear()
    database.execute("update storage.buckets set public = false where id = 'videomaker'")
    yield
    database.execute("update storage.buckets set public = true where id = 'videomaker'")
