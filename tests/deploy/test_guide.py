"""The guide from nothing to a working front end: its commands exist, and those that need no account run."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from infra.deploy import parameters
from infra.deploy.template import OSLS
from infra.local.stack import Stack
from infra.local.state import TOP

GUIDE = (TOP / "infra" / "deploy" / "GUIDE.md").read_text()
README = (TOP / "README.md").read_text()
BLOCKS = re.findall(r"```sh( here)?\n(.*?)```", GUIDE, re.S)

pytestmark = pytest.mark.timeout(600)


def targets(text: str) -> set[str]:
    commands = "\n".join(re.findall(r"```sh[^\n]*\n(.*?)```", text, re.S) + re.findall(r"`([^`\n]+)`", text))
    return set(re.findall(r"\bmake (?:-\S+ (?:\.\S+ )?)*([a-z]+)", commands))


@pytest.mark.parametrize("text", [GUIDE, README], ids=["guide", "readme"])
def test_every_target_that_is_named_is_there(text: str) -> None:
    known = re.findall(r"^([a-z ]+):.*##", (TOP / "Makefile").read_text(), re.MULTILINE)
    assert targets(text) >= {"demo", "up", "migrate", "deploy", "smoke"}
    assert targets(text) <= {name for line in known for name in line.split()}


def test_the_readme_leads_to_it() -> None:
    assert "(infra/deploy/GUIDE.md)" in README


def test_it_puts_every_secret_that_a_deployment_asks_for() -> None:
    put = set(re.findall(r"^put ([a-z-]+) ", GUIDE, re.MULTILINE))
    wanted = {name.rpartition("/")[2] for name in parameters.required("dev").values()}
    assert put == wanted | {"supabase-jwt-secret"}


def test_every_block_is_a_shells() -> None:
    assert len(BLOCKS) > 5
    for _, block in BLOCKS:
        subprocess.run(["bash", "-n"], input=re.sub(r"<[^>\n]*>", "x", block), text=True, check=True)


@pytest.mark.parametrize("block", [block for here, block in BLOCKS if here])
def test_what_needs_no_account_runs(stack: Stack, block: str) -> None:
    environment = {**os.environ, "STATE": str(stack.folder)}
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block], cwd=TOP, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    for promised in ("nothing to apply", '"statusCode": 200'):
        assert promised in run.stdout
    assert run.stdout.count("ok  ") == 11


def test_the_programs_that_it_names_are_there() -> None:
    named = set(re.findall(r"infra/\S+/\.bin/\w+", GUIDE + README))
    assert {TOP / name for name in named} == {OSLS}
    assert all(Path(TOP, path).exists() for path in re.findall(r"tests/events/\w+\.json", GUIDE + README))
