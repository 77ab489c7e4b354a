"""Notices that a function's code has changed."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CACHED_SECONDS = 0.1

_File = tuple[str, int, int]


@dataclass(frozen=True)
class Version:
    """The state of some folders' Python files: equal for equal code, as far as times and sizes tell."""

    files: tuple[_File, ...]

    @property
    def is_fresh(self) -> bool:
        """Whether a file changed less than two seconds ago.

        Python's bytecode cache compares whole seconds: cached now, the next change could go unnoticed.
        """
        newest = max((modified for _, modified, _ in self.files), default=0)
        return time.time_ns() - newest < 2_000_000_000


class Sources:
    """The versions of the code below one root; a folder is looked at ten times a second at most."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: dict[str, tuple[float, tuple[_File, ...]]] = {}

    def version(self, folders: tuple[str, ...]) -> Version:
        """The present version of all Python files in `folders`, which are relative to the root."""
        return Version(tuple(file for folder in folders for file in self._files(folder)))

    def _files(self, folder: str) -> tuple[_File, ...]:
        now = time.monotonic()
        seen_at, files = self._seen.get(folder, (float("-inf"), ()))
        if now - seen_at >= CACHED_SECONDS:
            files = tuple(sorted(_python_files(self._root / folder)))
            self._seen[folder] = (now, files)
        return files


def _python_files(folder: Path) -> Iterator[_File]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.name != "__pycache__":
                yield from _python_files(Path(entry.path))
        elif entry.name.endswith(".py"):
            stat = entry.stat()
            yield entry.path, stat.st_mtime_ns, stat.st_size
