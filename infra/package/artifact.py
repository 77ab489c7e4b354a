"""One function's artifact: its files by the names they have in the task root, and the zip of them."""

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.package import pruning
from infra.package.closure import Closure
from infra.package.site import Site, requirements_of
from infra.package.target import Target

_DATE: Final = (1980, 1, 1, 0, 0, 0)
_LIBRARIES: Final = ".libs/"


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is shipped of a function, by name in the task root; `key` changes whenever a byte of it would."""

    function: str
    files: Mapping[str, Path]
    key: str

    @property
    def unzipped(self) -> int:
        """Bytes in the task root."""
        return sum(path.stat().st_size for path in self.files.values())

    def unpack(self, folder: Path) -> None:
        """Lay the files out as Lambda does."""
        for name, path in self.files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())

    def zip(self, path: Path) -> None:
        """Write the archive, the same bytes for the same files; one that is there already and has them is kept."""
        note = path.with_suffix(".key")
        if path.exists() and note.exists() and note.read_text() == self.key:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, file in sorted(self.files.items()):
                info = zipfile.ZipInfo(name, _DATE)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o100644 << 16
                archive.writestr(info, file.read_bytes())
        note.write_text(self.key)


def artifact_of(function: str, closure: Closure, code: Path, site: Site, target: Target) -> Artifact:
    """Return the artifact of a function whose compiled modules lie in `code`."""
    files = {str(path): code / path for path in closure.files}
    files |= {path.relative_to(code).as_posix(): path for file in closure.files for path in _bytecode(code / file)}
    files |= {name: site.folder / name for name in _dependencies(function, closure, site, target)}
    own = {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items() if not _is_of(path, site)
    }
    key = hashlib.sha256(json.dumps([site.key, sorted(files), own], sort_keys=True).encode()).hexdigest()
    return Artifact(function, files, key)


def distributions_of(function: str, site: Site, target: Target) -> set[str]:
    """Return the names of the distributions that a function's `requirements.txt` asks for, with what they require."""
    environment = _environment(target)
    waiting = [Requirement(line) for line in requirements_of(function)]
    found: dict[str, set[str]] = {}
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in pruning.NEVER_IMPORTED | pruning.IN_THE_RUNTIME:
            continue
        if name in found and requirement.extras <= found[name]:
            continue
        found[name] = found.get(name, set()) | requirement.extras
        waiting += _required(site.distributions[name].requires, found[name], environment)
    return set(found)


def _required(lines: tuple[str, ...], extras: set[str], environment: dict[str, str]) -> Iterator[Requirement]:
    for line in lines:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in {"", *extras}):
            yield requirement


def _environment(target: Target) -> dict[str, str]:
    found = {name: str(value) for name, value in default_environment().items()}
    if target.architecture:
        found |= {
            "os_name": "posix",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": {"arm64": "aarch64"}.get(target.architecture, target.architecture),
            "platform_python_implementation": "CPython",
            "implementation_name": "cpython",
        }
    return found | {"python_version": target.python, "python_full_version": f"{target.python}.99"}


def _dependencies(function: str, closure: Closure, site: Site, target: Target) -> set[str]:
    """Return the files of the dependencies, without libraries that nothing kept is linked to."""
    distributions = distributions_of(function, site, target)
    files = {
        file
        for name in distributions
        for file in site.distributions[name].files
        if not pruning.is_not_loaded(file, closure.imported, distributions)
    }
    bundled = {file for file in files if _LIBRARIES in file}
    linked: set[str] = set()
    waiting = [file for file in files - bundled if file in site.linked]
    while waiting:
        wanted = set(site.linked[waiting.pop()])
        new = {file for file in bundled - linked if Path(file).name in wanted}
        linked |= new
        waiting += new
    return files - bundled | linked


def _bytecode(source: Path) -> list[Path]:
    return sorted((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")) if source.suffix == ".py" else []


def _is_of(path: Path, site: Site) -> bool:
    return path.is_relative_to(site.folder)
