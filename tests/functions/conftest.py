"""Fixtures: what the functions stand on, in a test's own hands."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.stack import Stack
from shared.settings import settings
from tests.faults import FaultyUpstream
from tests.videos import Queues


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
