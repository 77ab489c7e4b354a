"""A disk that can be full: the kernel itself then answers that there is no space left."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

_CHUNK = bytes(1 << 20)


@dataclass(frozen=True)
class LimitedDisk:
    """A file system of its own at `folder`."""

    folder: Path

    @contextmanager
    def full(self) -> Iterator[None]:
        """Take all the space that is left, and give it back afterwards."""
        ballast = self.folder / "ballast"
        try:
            with suppress(OSError), ballast.open("xb", buffering=0) as file:
                while True:
                    file.write(_CHUNK)
            yield
        finally:
            ballast.unlink()


@contextmanager
def limited_disk(folder: Path, megabytes: int) -> Iterator[LimitedDisk]:
    """Mount a disk at this folder, which exists; skip the test where that is not allowed: it takes root, and Linux."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0711", "tmpfs", str(folder)]
    try:
        subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("A disk cannot be mounted here.")
    try:
        yield LimitedDisk(folder)
    finally:
        subprocess.run(["umount", folder], check=True)
