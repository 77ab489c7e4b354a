"""The security review names files that there are, and every risk of the list."""

import re
from pathlib import Path

TOP = Path(__file__).parents[1]
REVIEW = (TOP / "infra" / "SECURITY.md").read_text(encoding="utf-8")


def test_each_file_that_the_review_names_exists() -> None:
    named = set(re.findall(r"`((?:tests|infra|shared)/[\w/.]+)`", REVIEW))
    assert len(named) > 15
    assert {path for path in named if not (TOP / path).exists()} == set()


def test_each_risk_is_answered_and_held_by_a_test() -> None:
    rows = re.findall(r"^\| \*\*(API\d+) .*?\|.*?\|(.*?)\|$", REVIEW, re.M)
    assert [name for name, _ in rows] == [f"API{number}" for number in range(1, 11)]
    assert all("`tests/" in held for _, held in rows)
