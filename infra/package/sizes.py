"""How large the artifacts are, and how large they may be."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.local.bench.figures import columns
from infra.package.artifact import Artifact

BUDGET: Final = Path(__file__).with_name("budget.json")
MOST_UNZIPPED: Final = 250_000_000  # Lambda's limit


@dataclass(frozen=True, slots=True)
class Size:
    """One artifact's bytes, and the most that its zip may have."""

    function: str
    zipped: int
    unzipped: int
    files: int
    budget: int

    @property
    def problem(self) -> str | None:
        """What is wrong with it."""
        if self.zipped > self.budget:
            return f"{self.function}: {_mb(self.zipped)} zipped is above its budget of {_mb(self.budget)}"
        if self.unzipped > MOST_UNZIPPED:
            return f"{self.function}: {_mb(self.unzipped)} unzipped is above Lambda's limit, {_mb(MOST_UNZIPPED)}"
        return None


def size_of(artifact: Artifact, archive: Path) -> Size:
    """Return the sizes of an artifact and its zip."""
    budgets = json.loads(BUDGET.read_text())
    budget = int(budgets.get(artifact.function, budgets["default"]) * 1_000_000)
    return Size(artifact.function, archive.stat().st_size, artifact.unzipped, len(artifact.files), budget)


def table(sizes: Sequence[Size]) -> str:
    """Return the sizes as an aligned Markdown table."""
    rows: list[tuple[str, ...]] = [("artifact", "zipped", "budget", "unzipped", "files")]
    return columns(rows + [_row(size) for size in sizes])


def problems(sizes: Iterable[Size]) -> list[str]:
    """Return what fails the build."""
    return [size.problem for size in sizes if size.problem]


def _row(size: Size) -> tuple[str, ...]:
    return (f"{size.function}.zip", *map(_mb, (size.zipped, size.budget, size.unzipped)), str(size.files))


def _mb(count: int) -> str:
    return f"{count / 1_000_000:.2f} MB"
