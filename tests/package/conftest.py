"""Artifacts for the machine that runs the tests, laid out and run as Lambda does."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from infra.local.stack import Stack
from infra.package.artifact import Artifact
from infra.package.build import artifacts
from infra.package.cache import cached
from infra.package.site import install
from infra.package.target import Target
from tests.package.runtime_api import Environment


@pytest.fixture(scope="session")
def target() -> Target:
    """Return what is deployed, where this machine can run it; else this machine itself."""
    deployed = Target.deployed("x86_64")
    return deployed if deployed.runs_here else Target.local()


@pytest.fixture(scope="session")
def built(target: Target) -> dict[str, Artifact]:
    """Return every function's artifact."""
    return {artifact.function: artifact for artifact in artifacts(target)}


@pytest.fixture(scope="session")
def runtime(target: Target) -> Path:
    """Return a folder with what the managed runtime has: its client, and boto3."""
    return cached(f"{target.name}-runtime", partial(install, target, ["awslambdaric", "boto3"]))


@pytest.fixture(scope="session")
def start(
    target: Target, built: dict[str, Artifact], runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Environment]:
    """Make environments: a function's artifact unpacked into an empty folder, with the given variables."""
    unpacked: dict[str, Path] = {}

    def make(function: str, variables: dict[str, str]) -> Environment:
        if function not in unpacked:
            unpacked[function] = tmp_path_factory.mktemp(function) / "task"
            built[function].unpack(unpacked[function])
        return Environment(target.interpreter(), unpacked[function], runtime, function, variables)

    return make


@pytest.fixture
def run(
    stack: Stack, function_environment: pytest.MonkeyPatch, start: Callable[..., Environment]
) -> Iterator[Callable[..., Environment]]:
    """Run functions against the stack until the test ends; keyword arguments replace variables."""
    with ExitStack() as running:

        def enter(function: str, **changed: str) -> Environment:
            return running.enter_context(start(function, {**stack.function_environment(), **changed}))

        yield enter
