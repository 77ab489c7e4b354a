"""Artifacts for arm64 are made of arm64's own wheels, whatever machine builds them."""

import pytest

from infra.package import elf
from infra.package.artifact import Artifact
from infra.package.build import artifacts
from infra.package.target import Target

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", params=["maintenance", "get_frames"])
def built(request: pytest.FixtureRequest) -> Artifact:
    [artifact] = artifacts(Target.deployed("arm64"), [request.param])
    return artifact


def test_every_library_is_for_arm64(built: Artifact) -> None:
    libraries = {name: path for name, path in built.files.items() if elf.is_library(path)}
    assert any("pydantic_core" in name for name in libraries)
    assert {elf.machine(path) for path in libraries.values()} == {"arm64"}
    assert {name for name in libraries if "x86_64" in name} == set()


def test_the_other_machines_artifact_has_other_libraries(built: Artifact) -> None:
    [other] = artifacts(Target.deployed("x86_64"), [built.function])
    assert {elf.machine(path) for path in other.files.values() if elf.is_library(path)} == {"x86_64"}
