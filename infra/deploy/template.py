"""What `serverless.yml` becomes: the CloudFormation template, made without an account."""

import json
import os
import re
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.local.gateway.document import load
from infra.local.state import TOP, StackError

OSLS: Final = TOP / "infra" / "deploy" / "node_modules" / ".bin" / "osls"
ACCOUNT: Final = "123456789012"

_FROM_ENVIRONMENT: Final = re.compile(r"\$\{env:(\w+), (?:ssm|aws):")


@dataclass(frozen=True, slots=True)
class Template:
    """A packaged service: the template's resources and outputs, and the keys that its artifacts have in S3."""

    document: dict[str, Any]
    artifacts: dict[str, str]

    @property
    def resources(self) -> dict[str, Any]:
        """Resources by their logical names."""
        found: dict[str, Any] = self.document["Resources"]
        return found

    def of_type(self, kind: str) -> dict[str, Any]:
        """Return the resources of one type, by their logical names."""
        return {name: one for name, one in self.resources.items() if one["Type"] == kind}


def placeholders(text: str) -> dict[str, str]:
    """Return a value for everything that a `serverless.yml` would ask AWS for, so that it does not."""
    return {name: f"placeholder-{name.lower()}" for name in _FROM_ENVIRONMENT.findall(text)} | {
        "AWS_ACCOUNT_ID": ACCOUNT
    }


def package(folder: Path, stage: str = "dev", **environment: str) -> Template:
    """Package a copy of the service in an empty folder, with artifacts that hold nothing."""
    text = (TOP / "serverless.yml").read_text()
    (folder / "serverless.yml").write_text(text)
    (folder / "infra").symlink_to(TOP / "infra")
    (folder / "build").mkdir()
    for function in load(text)["functions"]:
        with zipfile.ZipFile(folder / "build" / f"{function}.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo(f"functions/{function}/handler.py"), "")
    run_osls(["package", "--stage", stage, "--package", "packaged"], folder, {**placeholders(text), **environment})
    packaged = folder / "packaged"
    document = json.loads((packaged / "cloudformation-template-update-stack.json").read_text())
    functions = [one["Properties"] for one in document["Resources"].values() if one["Type"] == "AWS::Lambda::Function"]
    keys = {Path(one["Code"]["S3Key"]).stem: one["Code"]["S3Key"] for one in functions}
    return Template(document, keys)


def run_osls(arguments: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Run osls and return what it printed; raises with that where it fails."""
    variables = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    quiet = {"SLS_NOTIFICATIONS_MODE": "off", "SLS_DEPRECATION_NOTIFICATION_MODE": "warn", "NODE_NO_WARNINGS": "1"}
    run = subprocess.run(
        [str(OSLS), *arguments],
        cwd=folder,
        env={**variables, **quiet, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise StackError(f"osls {arguments[0]} failed:\n{run.stdout}{run.stderr}")
    return run.stdout
