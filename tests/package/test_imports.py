"""What a cold start of an artifact does not import."""

import subprocess
from collections.abc import Callable

import pytest

from infra.package.target import Target
from tests.package.runtime_api import Environment

# Dear ones, each of which waits until something needs it.
LATER = {"PIL", "cryptography", "jwt", "redis", "storage3"}
HTTP = ("get_frames", "save_frames", "upload_image", "history", "share")


@pytest.mark.parametrize("function", HTTP)
def test_a_cold_start_leaves_out_what_can_wait(
    start: Callable[..., Environment], target: Target, function: str
) -> None:
    root = start(function, {}).task_root
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import functions.{function}.handler;"
        " print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([target.interpreter(), "-ISB", "-c", code], capture_output=True, text=True, check=True)
    assert LATER & set(done.stdout.split()) == set()
    assert "fastapi" in done.stdout
