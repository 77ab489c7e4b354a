"""What is in an artifact, and what is not."""

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pydantic_core
import pytest

from infra.local.state import TOP
from infra.package import __main__ as command
from infra.package import build, cache, elf, pruning, sizes
from infra.package.artifact import Artifact, distributions_of
from infra.package.build import all_functions, artifacts
from infra.package.closure import closure_of
from infra.package.site import site_for
from infra.package.target import PackagingError, Target

UNCHECKED = 1  # the flags of bytecode that is believed without a look at its source; PEP 552
STANDARD_LIBRARY = set(sys.stdlib_module_names)
FUNCTIONS = all_functions()


def modules_of(artifact: Artifact) -> Iterator[tuple[str, Path]]:
    return ((name, path) for name, path in artifact.files.items() if name.endswith((".py", ".pyc")))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_module_has_bytecode_of_the_targets_python(
    target: Target, built: dict[str, Artifact], function: str
) -> None:
    code = "import importlib.util; print(importlib.util.MAGIC_NUMBER.hex())"
    shown = subprocess.run([target.interpreter(), "-c", code], capture_output=True, text=True, check=True).stdout
    compiled = {name: path.read_bytes()[:8] for name, path in modules_of(built[function]) if name.endswith(".pyc")}
    assert {head[:4].hex() for head in compiled.values()} == {shown.strip()}
    assert {int.from_bytes(head[4:], "little") for head in compiled.values()} == {UNCHECKED}
    sources = {name for name, _ in modules_of(built[function]) if name.endswith(".py")}
    folders = {name.partition("/")[0] for name in sources}
    assert folders == {"functions", "shared"}  # of which a person may want to read the source
    for name in sources:
        path = Path(name)
        assert any(
            Path(one).parent == path.parent / "__pycache__" and Path(one).stem.startswith(f"{path.stem}.")
            for one in compiled
        )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_is_shipped_that_no_function_runs(built: dict[str, Artifact], function: str) -> None:
    names = built[function].files.keys()
    roots = {name.partition("/")[0] for name in names}
    assert not roots & {"boto3", "botocore", "pip", "setuptools", "pytest", "infra", "tests", "h2", "supabase", "bin"}
    assert not [name for name in names if "/tests/" in name or name.startswith("pydantic/v1/")]
    others = set(FUNCTIONS) - {function}
    assert not [name for name in names if name.startswith(tuple(f"functions/{other}/" for other in others))]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_requirements_are_what_the_function_imports(target: Target, function: str) -> None:
    """Each import is installed by the function's requirements, and each of them is imported."""
    site, closure = site_for(target, FUNCTIONS), closure_of(function, TOP)
    imported = {name.partition(".")[0] for name in closure.imported} - {"functions", "shared", ""}
    optional = {name.partition(".")[0] for name in closure.optional}
    installed = {name: _modules(site.distributions[name].files) for name in distributions_of(function, site, target)}
    provided = set().union(*installed.values())
    assert imported - optional - STANDARD_LIBRARY - pruning.IN_THE_RUNTIME <= provided
    for line in (TOP / "functions" / function / "requirements.txt").read_text().split():
        name = line.partition("[")[0]
        assert ({name} if name in pruning.IN_THE_RUNTIME else installed[name]) & imported, f"{name} is not imported"


def _modules(files: tuple[str, ...]) -> set[str]:
    return {
        Path(file).parts[0].partition(".")[0] for file in files if ".libs/" not in file and ".dist-info/" not in file
    }


@pytest.mark.timeout(900)
def test_the_same_sources_make_the_same_bytes(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "all_functions", lambda: ["maintenance"])
    archives = []
    for turn in ("first", "second"):
        monkeypatch.setattr(cache, "BUILD", tmp_path / turn)
        [artifact] = artifacts(target, ["maintenance"])
        archives.append(tmp_path / f"{turn}.zip")
        artifact.zip(archives[-1])
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with zipfile.ZipFile(archives[0]) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: path.read_bytes() for name, path in artifact.files.items()
        }


def test_an_archive_is_made_again_only_where_something_changed(built: dict[str, Artifact], tmp_path: Path) -> None:
    archive, artifact = tmp_path / "maintenance.zip", built["maintenance"]
    artifact.zip(archive)
    first = archive.stat().st_mtime_ns
    artifact.zip(archive)
    assert archive.stat().st_mtime_ns == first
    Artifact(artifact.function, artifact.files, "another key").zip(archive)
    assert archive.stat().st_mtime_ns > first


def test_a_functions_key_changes_with_its_own_code_only(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(TOP / "functions", tmp_path / "functions")
    shutil.copytree(TOP / "shared", tmp_path / "shared")
    monkeypatch.setattr(build, "TOP", tmp_path)
    before = {artifact.function: artifact.key for artifact in artifacts(target)}
    handler = tmp_path / "functions" / "get_frames" / "handler.py"
    handler.write_text(f"{handler.read_text()}\n# changed\n")
    after = {artifact.function: artifact.key for artifact in artifacts(target)}
    assert {name for name in before if before[name] != after[name]} == {"get_frames"}


def test_libraries_are_linked_to_what_is_shipped_with_them(built: dict[str, Artifact]) -> None:
    for artifact in built.values():
        names = {Path(name).name for name in artifact.files}
        bundled = {Path(name).name for name in artifact.files if ".libs/" in name}
        libraries = [path for path in artifact.files.values() if ".so" in path.name and elf.is_library(path)]
        linked = {needed for path in libraries for needed in elf.needed(path)}
        assert bundled <= linked
        assert {name for name in linked if "-" in name and ".so" in name and not name.startswith("ld-")} <= names


def test_stripping_leaves_a_library_that_loads(tmp_path: Path) -> None:
    original = next(Path(pydantic_core.__file__).parent.glob("_pydantic_core*.so"))
    if not elf.is_library(original):
        pytest.skip("libraries of this machine have another format")
    copy = tmp_path / original.name
    copy.write_bytes(original.read_bytes())
    elf.strip(copy)
    assert elf.needed(copy) == elf.needed(original)
    spec = importlib.util.spec_from_file_location("_pydantic_core", copy)
    assert spec is not None
    loads = (
        f"import importlib.util as u; u.module_from_spec(u.spec_from_file_location('_pydantic_core', {str(copy)!r}))"
    )
    subprocess.run([sys.executable, "-c", loads], check=True)


@pytest.mark.timeout(900)
def test_every_artifact_keeps_to_its_budget_and_to_lambdas_limits(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        Target.deployed().interpreter()
    except PackagingError as error:
        pytest.skip(str(error))
    assert command.main([]) == 0, capsys.readouterr().err
    table = capsys.readouterr().out
    for function in FUNCTIONS:
        assert f"{function}.zip" in table
    for function in ("upload_image", "save_frames", "get_frames"):
        assert command.archive_of(function).stat().st_size < 15 * 1024 * 1024  # counted as Lambda counts its own limits


def test_a_function_that_has_grown_fails_the_build() -> None:
    grown = sizes.Size("get_frames", zipped=11_000_000, unzipped=30_000_000, files=1, budget=10_000_000)
    huge = sizes.Size("render_clip", zipped=40_000_000, unzipped=251_000_000, files=1, budget=50_000_000)
    fine = sizes.Size("watch", zipped=9_000_000, unzipped=30_000_000, files=1, budget=10_000_000)
    found = sizes.problems([grown, huge, fine])
    assert [text.partition(":")[0] for text in found] == ["get_frames", "render_clip"]


def test_a_machine_that_lambda_does_not_have_is_refused() -> None:
    with pytest.raises(PackagingError, match="riscv"):
        Target.deployed("riscv")


def test_a_function_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["nothing"]) == 1
    assert "get_frames" in capsys.readouterr().err
