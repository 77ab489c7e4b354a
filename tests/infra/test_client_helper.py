"""The client helper's own tests, in TypeScript, pass against the embedded stack."""

import os
import subprocess

import pytest

from infra.local.stack import Stack
from infra.local.state import TOP

CLIENT = TOP / "infra" / "client"


@pytest.mark.timeout(600)
def test_the_helper_does_what_its_vitest_suite_says(stack: Stack) -> None:
    vitest = CLIENT / "node_modules" / "vitest" / "vitest.mjs"
    if not vitest.exists():
        reason = "Vitest is not installed: `make web` does it."
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    environment = {**os.environ, "VIDEOMAKER_API_URL": stack.info["apiUrl"]}
    run = subprocess.run(
        ["node", str(vitest), "run"], cwd=CLIENT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
