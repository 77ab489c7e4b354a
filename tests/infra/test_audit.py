"""Known vulnerabilities fail the audit; a database that gives no answer is told of, and never taken for a clean one.

What the programs print is as pip-audit 2.10 and npm 10 have it.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra import audit

CLEAN_PYTHON: dict[str, Any] = {"dependencies": [{"name": "jinja2", "version": "3.1.6", "vulns": []}], "fixes": []}
CLEAN_NPM: dict[str, Any] = {"vulnerabilities": {}, "metadata": {"dependencies": {"total": 3}}}
LOCK = "infra/web/package-lock.json"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for file in (LOCK, "infra/web/node_modules/other/package-lock.json"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("{}")
    return tmp_path


def audited(
    top: Path, *, python: object = CLEAN_PYTHON, npm: object = CLEAN_NPM, stderr: str = ""
) -> list[audit.Audit]:
    def run(command: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
        printed = npm if command[0] == "npm" else python
        assert folder == (top / LOCK).parent if command[0] == "npm" else top
        text = printed if isinstance(printed, str) else json.dumps(printed)
        return subprocess.CompletedProcess(command, 1, text, stderr)

    return list(audit.audit(top, run))


def test_each_lock_file_is_audited_and_none_that_a_package_brought_along(top: Path) -> None:
    found = audited(top)
    assert [(one.file, one.looked_up, one.vulnerabilities) for one in found] == [
        ("requirements.txt", 1, ()),
        (LOCK, 3, ()),
    ]
    assert audit.told(found[1]) == f"{LOCK}: 3 of 3 packages looked up, nothing known against them"


def test_a_vulnerable_python_package_is_named_with_the_version_that_mends_it(top: Path) -> None:
    known = {"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": [], "description": ""}
    found = audited(
        top, python={"dependencies": [{"name": "jinja2", "version": "2.10", "vulns": [known]}], "fixes": []}
    )
    assert found[0].vulnerabilities == ("jinja2 2.10: PYSEC-2019-217, mended in 2.10.1",)


def test_a_vulnerable_npm_package_is_named_with_its_advisory_or_what_it_depends_on(top: Path) -> None:
    told = {"title": "Prototype Pollution", "url": "https://github.com/advisories/GHSA-1"}
    vulnerabilities = {
        "lodash": {"severity": "high", "range": "<4.17.12", "via": [told]},
        "gulp": {"severity": "high", "range": "*", "via": ["lodash"]},
    }
    found = audited(top, npm={**CLEAN_NPM, "vulnerabilities": vulnerabilities})
    assert found[1].vulnerabilities == ("lodash <4.17.12: high, Prototype Pollution", "gulp *: high, lodash")


def test_packages_that_none_could_look_up_are_not_called_clean(top: Path) -> None:
    skipped = {"name": "jinja2", "skip_reason": "Dependency not found on PyPI and could not be audited: jinja2 (2.10)"}
    [python, _] = audited(top, python={"dependencies": [skipped], "fixes": []})
    assert python.unreached == skipped["skip_reason"]
    assert audit.told(python).startswith("requirements.txt: not audited, Dependency not found")


def test_packages_that_some_could_not_look_up_are_counted(top: Path) -> None:
    skipped = {"name": "own", "skip_reason": "not there"}
    [python, _] = audited(top, python={"dependencies": [skipped, *CLEAN_PYTHON["dependencies"]], "fixes": []})
    assert audit.told(python) == "requirements.txt: 1 of 2 packages looked up, nothing known against them"


def test_a_registry_without_advisories_is_told_of(top: Path) -> None:
    [_, npm] = audited(top, npm={"message": "405 Method Not Allowed", "statusCode": 405})
    assert (npm.unreached, npm.vulnerabilities) == ("405 Method Not Allowed", ())


@pytest.mark.parametrize("printed", ["", "Traceback", "[]"])
def test_a_program_that_fails_is_told_of_with_its_last_words(top: Path, printed: str) -> None:
    for one in audited(top, python=printed, npm=printed, stderr="Traceback\nConnectionError: no such host\n"):
        assert one.unreached == "ConnectionError: no such host"


@pytest.mark.parametrize(("vulnerabilities", "status"), [((), 0), (("jinja2 2.10: PYSEC-2019-217",), 1)])
def test_only_what_is_known_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, vulnerabilities: tuple[str, ...], status: int
) -> None:
    audits = [audit.Audit("requirements.txt", 1, 1, vulnerabilities), audit.Audit(LOCK, unreached="no such host")]
    monkeypatch.setattr(audit, "audit", lambda *_: iter(audits))
    assert audit.main() == status
