"""A gateway over functions made for tests, in a task root of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

HERE = Path(__file__).parent
TOP = HERE.parents[2]

SERVERLESS_YML = """
service: tests
provider: {name: aws, environment: {FROM_PROVIDER: provider, ALREADY_SET: from file}}
custom:
  cors:
    allowedOrigins: ["https://app.example"]
    allowedMethods: [GET, POST]
    allowedHeaders: [Content-Type, X-Api-Key]
    exposedResponseHeaders: [ETag]
    maxAge: 600
functions:
  probe: {handler: functions.probe.handler.handler, timeout: 30, memorySize: 512, url: {cors: "${self:custom.cors}"}}
  hasty: {handler: functions.probe.handler.handler, timeout: 1, url: true}
  broken: {handler: functions.broken.handler.handler, url: true}
  pets: {handler: functions.pets.handler.handler, url: {cors: true}}
  people: {handler: functions.people.handler.handler, url: {cors: true}}
  worker: {handler: functions.probe.handler.handler}
"""


@dataclass(frozen=True)
class RunningGateway:
    """A gateway process, a client for it, and the file that holds its log."""

    process: subprocess.Popen[str]
    client: httpx.Client
    log_file: Path

    @property
    def log(self) -> str:
        """What the gateway has logged so far."""
        return self.log_file.read_text()


def make_task_root(root: Path) -> Path:
    """A folder with `serverless.yml` and the functions that it names."""
    for name in ("probe", "pets", "people", "consumer"):
        folder = root / "functions" / name
        folder.mkdir(parents=True)
        shutil.copy(HERE / f"{name}.py", folder / "handler.py")
    (root / "functions" / "broken").mkdir()
    (root / "functions" / "broken" / "handler.py").write_text("raise RuntimeError('broken at import')\n")
    (root / "functions" / "__init__.py").touch()
    (root / "shared").mkdir()
    (root / "shared" / "__init__.py").touch()
    (root / "shared" / "greeting.py").write_text("GREETING = 'hello'\n")
    (root / "serverless.yml").write_text(SERVERLESS_YML)
    return root


@contextmanager
def running_gateway(root: Path, **environment: str) -> Iterator[RunningGateway]:
    """A gateway over the functions of `root`, stopped at the end."""
    log_file = root / "gateway.log"
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local.gateway"],
            cwd=TOP,
            env={**inherited, "PORT": "0", "SERVERLESS_YML": str(root / "serverless.yml"), **environment},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().split()[-1]
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            yield RunningGateway(process, client, log_file)
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
