"""Builds the artifacts of the functions."""

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from infra.local.state import TOP
from infra.package.artifact import Artifact, artifact_of
from infra.package.cache import cached
from infra.package.closure import closure_of
from infra.package.site import compile_tree, site_for
from infra.package.target import Target


def all_functions() -> list[str]:
    """Return the name of every function."""
    return sorted(path.parent.name for path in (TOP / "functions").glob("*/handler.py"))


def artifacts(target: Target, functions: Iterable[str] | None = None) -> list[Artifact]:
    """Return what is to be shipped of each function, ready to be zipped or unpacked."""
    site = site_for(target, all_functions())
    closures = {function: closure_of(function, TOP) for function in functions or all_functions()}
    code = _compiled_code(target, {file for closure in closures.values() for file in closure.files})
    return [artifact_of(function, closure, code, site, target) for function, closure in closures.items()]


def _compiled_code(target: Target, files: set[Path]) -> Path:
    """Return a copy of the project's own files with their bytecode, made where it is not there yet."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file}\0".encode() + (TOP / file).read_bytes())

    def fill(folder: Path) -> None:
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(TOP / file, folder / file)
        compile_tree(target, folder, sourceless=False)

    return cached(f"{target.name}-code-{digest.hexdigest()[:12]}", fill)
