"""What is kept from build to build, below `build/cache`."""

import fcntl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from infra.local.state import TOP

BUILD: Final = TOP / "build"


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """Return the folder of this name; `build` fills it where it is not there yet, one process at a time."""
    folder = BUILD / "cache" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                new = Path(scratch) / "new"
                new.mkdir()
                build(new)
                new.rename(folder)
    return folder
