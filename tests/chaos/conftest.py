"""Fixtures: a stack of these tests' own, whose parts fail on demand."""

from collections.abc import Iterator

import pytest

from infra.local.contract_fuzz import unlimited
from infra.local.stack import Stack
from shared.settings import settings
from tests.chaos.shaking import ShakenStack
from tests.conftest import temporary_state
from tests.running_redis import Redis


@pytest.fixture(scope="package")
def redis_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    found = Redis(tmp_path_factory.mktemp("chaos-redis"))
    yield found
    found.stop()


@pytest.fixture(scope="package")
def shaken(redis_of_its_own: Redis) -> Iterator[ShakenStack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", redis_of_its_own.url)
        with temporary_state() as folder:
            with ShakenStack(folder, port=0) as stack:
                unlimited(stack)
                yield stack
            if stack.upstream:
                stack.upstream.close()


@pytest.fixture
def service(shaken: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let event functions run in this process, on the shaken stack."""
    for name, value in shaken.function_environment().items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield
    settings.cache_clear()
