"""The TypeScript client: generated from the document, typed strictly, and able to make a video."""

import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from infra.local.stack import Stack
from infra.local.state import TOP
from tests.shared.image_files import encoded, gradient
from tests.videos import watch

CLIENT = TOP / "infra" / "client"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    if not (CLIENT / "node_modules").exists():
        subprocess.run(["npm", "ci", "--loglevel=error"], cwd=CLIENT, check=True)


def run(*command: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    variables = {**os.environ, **environment}
    program = CLIENT / "node_modules" / ".bin" / command[0]
    return subprocess.run(
        [program, *command[1:]], cwd=CLIENT, env=variables, capture_output=True, text=True, check=False
    )


def test_its_types_are_what_the_document_says(tmp_path: Path) -> None:
    arguments: list[str | Path] = [
        "../openapi.json",
        "--default-non-nullable",
        "false",
        "--output",
        tmp_path / "schema.d.ts",
    ]
    made = run("openapi-typescript", *arguments)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "schema.d.ts").read_text() == (CLIENT / "src" / "schema.d.ts").read_text(), "run `make openapi`"


def test_it_and_its_example_are_typed_strictly() -> None:
    checked = run("tsc", "--strict", "--noEmit")
    assert (checked.returncode, checked.stdout) == (0, "")


def test_it_sends_and_throws_as_its_own_tests_say() -> None:
    ran = run("tsx", "--test", "tests/client.test.ts")
    assert ran.returncode == 0, ran.stdout
    assert "# tests 6\n" in ran.stdout


def test_the_readme_shows_the_example() -> None:
    example = (CLIENT / "examples" / "storyboard.ts").read_text()
    shown = next(
        block for block in re.findall(r"```ts\n(.*?)```", (TOP / "README.md").read_text(), re.S) if "readFile" in block
    )
    assert example.endswith(shown)


def test_its_example_makes_a_video(stack: Stack, tmp_path: Path) -> None:
    images = [tmp_path / f"{number}.png" for number in (1, 2, 3)]
    for image in images:
        image.write_bytes(encoded(gradient(640, 360), "PNG"))
    made = run("tsx", "examples/storyboard.ts", *images, API_URL=stack.info["apiUrl"])
    assert made.returncode == 0, made.stderr
    assert "3 frames, version 1" in made.stderr
    watch(httpx.get(made.stdout.strip()).content, frames=144, fps=24, size=(854, 480))
