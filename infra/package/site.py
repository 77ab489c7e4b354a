"""All dependencies of all functions, installed once for a target, pruned and compiled; kept from build to build."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.local.state import TOP
from infra.package import certificates, elf, pruning
from infra.package.cache import cached
from infra.package.target import UV, PackagingError, Target

TASK_ROOT: Final = "/var/task"
COMPILER: Final = Path(__file__).with_name("bytecode.py")

# Published as source only. They are pure Python where no compiler finds what else they could be built with.
_SOURCE_ONLY: Final = ("pyvips",)
_AUTHORITIES: Final = "certifi/cacert.pem"
_INDEX: Final = "index.json"


@dataclass(frozen=True, slots=True)
class Installed:
    """One distribution: what it requires (names with extras and markers), and its files from the site's top."""

    name: str
    requires: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """The folder of all dependencies, the distributions in it by name, and what each library is linked to."""

    folder: Path
    key: str
    distributions: dict[str, Installed]
    linked: dict[str, list[str]]


def requirements_of(function: str) -> list[str]:
    """Return the lines of a function's `requirements.txt`, without what the runtime has."""
    lines = (TOP / "functions" / function / "requirements.txt").read_text().split()
    return [line for line in lines if canonicalize_name(Requirement(line).name) not in pruning.IN_THE_RUNTIME]


def site_for(target: Target, functions: Iterable[str]) -> Site:
    """Return the site for a target, built where it is not there yet."""
    wanted = sorted({line for function in functions for line in requirements_of(function)})
    key = _key(target, wanted)
    folder = cached(f"{target.name}-{key}", partial(_build, target, wanted))
    index = json.loads((folder / _INDEX).read_text())
    found = {
        name: Installed(name, tuple(one["requires"]), tuple(one["files"]))
        for name, one in index["distributions"].items()
    }
    return Site(folder / "site", key, found, index["linked"])


def install(target: Target, wanted: Iterable[str], folder: Path) -> None:
    """Install distributions in the versions of the top-level `requirements.txt`, with uv's cache; none is built here
    that is published built.
    """
    command = [*UV, "pip", "install", "--quiet", "--link-mode", "copy", "--target", str(folder), *target.uv_arguments]
    command += ["--only-binary", ":all:", *(part for name in _SOURCE_ONLY for part in ("--no-binary", name))]
    command += ["--constraint", str(TOP / "requirements.txt"), *wanted]
    run = subprocess.run(
        command, env={**os.environ, "PKG_CONFIG_LIBDIR": os.devnull}, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise PackagingError(f"The dependencies cannot be installed:\n{run.stderr}")


def compile_tree(target: Target, folder: Path, *, sourceless: bool) -> None:
    """Compile a folder that will lie in the task root, with the target's Python, to the same bytes every time."""
    command = [
        target.interpreter(),
        "-I",
        str(COMPILER),
        str(folder),
        TASK_ROOT,
        *(["sourceless"] if sourceless else []),
    ]
    subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, check=True)


def _key(target: Target, wanted: list[str]) -> str:
    """Return what changes whenever the site would."""
    digest = hashlib.sha256(f"{target} {wanted}".encode())
    for path in (TOP / "requirements.txt", *sorted(Path(__file__).parent.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _build(target: Target, wanted: list[str], folder: Path) -> None:
    site = folder / "site"
    install(target, wanted, site)
    distributions = {canonicalize_name(one.name): one for one in Distribution.discover(path=[str(site)])}
    requires = {name: one.requires or [] for name, one in distributions.items()}
    files = {name: list(_kept_files(one, site)) for name, one in distributions.items()}
    _remove_others(site, {file for some in files.values() for file in some})
    libraries = [path for path in sorted(site.rglob("*")) if path.is_file() and elf.is_library(path)]
    for path in libraries:
        if target.architecture and elf.machine(path) != target.architecture:
            raise PackagingError(f"{path.relative_to(site)} is not for {target.architecture}.")
        elf.strip(path)
    if (certifi := canonicalize_name("certifi")) in files:
        names = certificates.write((site / _AUTHORITIES).read_text(), site / certificates.FOLDER)
        (site / _AUTHORITIES).unlink()
        files[certifi] = [file for file in files[certifi] if file != _AUTHORITIES]
        files[certifi] += [f"{certificates.FOLDER}/{name}" for name in names]
    compile_tree(target, site, sourceless=True)
    index: dict[str, Any] = {
        "distributions": {
            name: {"requires": requires[name], "files": sorted(map(_compiled, files[name]))} for name in distributions
        },
        "linked": {str(path.relative_to(site)): elf.needed(path) for path in libraries},
    }
    (folder / _INDEX).write_text(json.dumps(index))


def _kept_files(distribution: Distribution, site: Path) -> Iterator[str]:
    read = pruning.has_entry_points(distribution.read_text("entry_points.txt") or "")
    for file in distribution.files or []:
        path = file.as_posix()
        if pruning.is_unused(path) or pruning.is_unread_record(path, has_entry_points=read):
            continue
        if (site / path).is_file():
            yield path


def _remove_others(site: Path, kept: set[str]) -> None:
    for path in sorted(site.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(site).as_posix() not in kept:
            path.unlink()


def _compiled(path: str) -> str:
    return path.removesuffix("y") + "yc" if path.endswith(".py") else path
