"""What an artifact is built for: a Python version and a machine, whatever builds it."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Self

from infra.local.gateway.document import load
from infra.local.state import TOP

_UV_MACHINES: Final = {"x86_64": "x86_64", "arm64": "aarch64"}
_GLIBC: Final = "manylinux_2_34"  # of Amazon Linux 2023, which the runtimes of Python 3.12 and newer stand on


class PackagingError(Exception):
    """An artifact cannot be built; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """A Python version such as `3.12`, and Lambda's name of a machine; None: this very machine."""

    python: str
    architecture: str | None

    @classmethod
    def deployed(cls, architecture: str | None = None) -> Self:
        """Return what `serverless.yml` deploys to; the architecture is ARCH's, else x86_64."""
        provider = load((TOP / "serverless.yml").read_text())["provider"]
        chosen = architecture or os.environ.get("ARCH") or "x86_64"
        if chosen not in _UV_MACHINES:
            raise PackagingError(f"ARCH must be one of {', '.join(_UV_MACHINES)}, not {chosen}.")
        return cls(provider["runtime"].removeprefix("python"), chosen)

    @classmethod
    def local(cls) -> Self:
        """Return the machine and Python that run this."""
        return cls(f"{sys.version_info.major}.{sys.version_info.minor}", None)

    @property
    def name(self) -> str:
        """A name for folders."""
        return f"python{self.python}-{self.architecture or 'local'}"

    @property
    def runs_here(self) -> bool:
        """Tell whether this machine can run what is built for the target."""
        if self.architecture is None:
            return True
        same = _UV_MACHINES[self.architecture] == platform.machine().replace("arm64", "aarch64")
        return sys.platform == "linux" and same and self.found_interpreter() is not None

    @property
    def uv_arguments(self) -> list[str]:
        """What tells uv whose wheels to install."""
        if self.architecture is None:
            return ["--python", sys.executable]
        return [
            "--python-version",
            self.python,
            "--python-platform",
            f"{_UV_MACHINES[self.architecture]}-{_GLIBC}",
        ]

    def interpreter(self) -> str:
        """Return a Python of this version: it compiles the bytecode, which is the same for every machine."""
        found = self.found_interpreter()
        if found is None:
            subprocess.run([*UV, "python", "install", "--quiet", self.python], check=False)
            found = _managed(self.python)
        if found is None:
            raise PackagingError(
                f"Python {self.python} is needed to compile bytecode for it. Install it, and try again."
            )
        return found

    def found_interpreter(self) -> str | None:
        """Return a Python of this version that is installed here."""
        return sys.executable if self.architecture is None else _installed(self.python)


@cache
def _installed(version: str) -> str | None:
    """Return the first that is one: this Python, one on the path, one of pyenv, one of uv."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [
        sys.executable,
        shutil.which(f"python{version}"),
        *(str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)),
    ]
    return next((path for path in candidates if path and _is_python(path, version)), None) or _managed(version)


def _managed(version: str) -> str | None:
    command = [*UV, "python", "find", "--managed-python", "--no-project", "--no-python-downloads", version]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout.strip() or None if run.returncode == 0 else None


def _is_python(path: str, version: str) -> bool:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    run = subprocess.run([path, "-I", "-c", code], capture_output=True, text=True, check=False)
    return run.returncode == 0 and run.stdout.strip() == version


def _uv() -> list[str]:
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    return [beside] if beside else [sys.executable, "-m", "uv"]


UV: Final = _uv()
