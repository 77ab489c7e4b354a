"""The packaged template, made once for all tests of this process."""

import subprocess
from pathlib import Path

import pytest

from infra.deploy.template import OSLS, Template, package


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    if not OSLS.exists():
        subprocess.run(["npm", "ci", "--loglevel=error"], cwd=OSLS.parents[2], check=True)
    return package(Path(tmp_path_factory.mktemp("service")))
