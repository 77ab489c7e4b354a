"""A worker's temporary folder, which is gone afterwards, even that of a worker which was killed."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PREFIX: Final = "videomaker-work-"
_NAME: Final = re.compile(rf"{_PREFIX}(\d+)-.+")


@contextmanager
def workspace() -> Iterator[Path]:
    """Give an empty folder for the time of one job; a process has one at a time."""
    _clear_leftovers()
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as folder:
        yield Path(folder)


def _clear_leftovers() -> None:
    """Remove the folders of processes that are gone: what Lambda ends may leave its files to the next one."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        match = _NAME.fullmatch(path.name)
        if match and not _runs_elsewhere(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)


def _runs_elsewhere(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
