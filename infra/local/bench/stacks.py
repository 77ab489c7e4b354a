"""A stack to measure on, which is gone afterwards."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.stack import Stack


@contextmanager
def temporary_stack() -> Iterator[Stack]:
    """Run a stack of its own, empty, on free ports."""
    with tempfile.TemporaryDirectory(prefix="videomaker-bench-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL is another user where we are root
        with Stack(Path(folder) / "state", port=0) as stack:
            yield stack


@contextmanager
def stack_for_this_process() -> Iterator[Stack]:
    """Run one whose functions can be called in this process."""
    with temporary_stack() as stack:
        os.environ.update(stack.function_environment())
        yield stack
