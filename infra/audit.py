"""Asks for known vulnerabilities in every package that is installed from a registry: `make audit`.

Python's are looked up by pip-audit, npm's by `npm audit`. A database that cannot be reached is told and fails nothing:
what cannot be asked says nothing about the packages.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.local.state import TOP

_LOCKED: Final = "requirements.txt"
_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Audit:
    """What was asked of the packages of one file: how many were looked up of how many, and what is known against them.

    `unreached` says why the database gave no answer, and is empty where it gave one.
    """

    file: str
    looked_up: int = 0
    packages: int = 0
    vulnerabilities: tuple[str, ...] = ()
    unreached: str = ""


Run = Callable[[list[str], Path], "subprocess.CompletedProcess[str]"]


def main() -> int:
    """Print what is known of each file's packages; answer 1 where there is a vulnerability."""
    audits = list(audit(TOP, _run))
    for one in audits:
        print(told(one))
    return int(any(one.vulnerabilities for one in audits))


def audit(top: Path, run: Run) -> Iterator[Audit]:
    """Yield the audit of the Python packages, and of each npm lock file."""
    yield _python(run, top)
    for lock in sorted(top.glob("infra/**/package-lock.json")):
        if "node_modules" not in lock.parts:
            yield _npm(run, top, lock)


def told(one: Audit) -> str:
    """Return the audit in a line, and one for each vulnerability."""
    if one.unreached:
        return f"{one.file}: not audited, {one.unreached}"
    known = f"{len(one.vulnerabilities)} known vulnerabilities" if one.vulnerabilities else "nothing known against them"
    lines = [f"{one.file}: {one.looked_up} of {one.packages} packages looked up, {known}", *one.vulnerabilities]
    return "\n  ".join(lines)


def _python(run: Run, top: Path) -> Audit:
    command = [sys.executable, "-m", "pip_audit", "--requirement", _LOCKED, "--no-deps", "--disable-pip"]
    done = run([*command, "--format", "json", "--progress-spinner", "off"], top)
    answer = _json(done.stdout)
    if "dependencies" not in answer:
        return Audit(_LOCKED, unreached=_last_line(done.stderr))
    packages = answer["dependencies"]
    looked_up = [one for one in packages if "skip_reason" not in one]
    if packages and not looked_up:
        return Audit(_LOCKED, packages=len(packages), unreached=packages[0]["skip_reason"])
    found = tuple(
        f"{one['name']} {one['version']}: {vulnerability['id']}, mended in {_versions(vulnerability['fix_versions'])}"
        for one in looked_up
        for vulnerability in one["vulns"]
    )
    return Audit(_LOCKED, len(looked_up), len(packages), found)


def _npm(run: Run, top: Path, lock: Path) -> Audit:
    file = str(lock.relative_to(top))
    done = run(["npm", "audit", "--json"], lock.parent)
    answer = _json(done.stdout)
    if "metadata" not in answer:
        return Audit(file, unreached=answer.get("message") or _last_line(done.stderr))
    packages = answer["metadata"]["dependencies"]["total"]
    found = tuple(
        f"{name} {one['range']}: {one['severity']}, {_titles(one['via'])}"
        for name, one in answer["vulnerabilities"].items()
    )
    return Audit(file, packages, packages, found)


def _versions(versions: list[str]) -> str:
    return ", ".join(versions) or "no version yet"


def _titles(via: list[Any]) -> str:
    """Return what is wrong with a package: advisories of its own, or names of packages that it depends on."""
    return "; ".join(one if isinstance(one, str) else one["title"] for one in via)


def _json(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "without an answer"


def _run(command: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {_SECONDS} seconds")


if __name__ == "__main__":
    sys.exit(main())
