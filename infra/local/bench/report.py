"""What a run of `make bench` has measured, as Markdown for people and as JSON for programs."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from infra.local.bench.figures import Figure, table

UNKNOWN: Final = "Why is not known."


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that were measured together, and the seconds that this took; `notes` is Markdown to be read with them."""

    name: str
    figures: Sequence[Figure]
    seconds: float
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A run of all sections, or of some."""

    sections: Sequence[Section]
    began: datetime

    @property
    def seconds(self) -> float:
        return sum(section.seconds for section in self.sections)

    def markdown(self) -> str:
        """Return a table for each section, and after them each target that was missed, with its cause."""
        parts = [f"Measured on {self.began:%Y-%m-%d} in {self.seconds:.0f} s, on {machine()}."]
        for section in self.sections:
            parts += [f"### {section.name}", table(section.figures)]
            parts += [section.notes] if section.notes else []
        missed = [figure for section in self.sections for figure in section.figures if figure.met is False]
        parts += ["### Targets missed", *([_missed(missed)] if missed else ["None."])]
        return "\n\n".join(parts) + "\n"

    def data(self) -> dict[str, Any]:
        """Return the same as values that JSON has."""
        return {
            "began": self.began.isoformat(),
            "seconds": round(self.seconds, 1),
            "machine": machine(),
            "python": platform.python_version(),
            "sections": [
                {
                    "name": section.name,
                    "seconds": round(section.seconds, 1),
                    "figures": [asdict(figure) for figure in section.figures],
                }
                for section in self.sections
            ],
        }

    def write(self, folder: Path) -> list[Path]:
        """Write both into a folder, which is made; return the files."""
        folder.mkdir(parents=True, exist_ok=True)
        markdown, data = folder / "bench.md", folder / "bench.json"
        markdown.write_text(self.markdown(), encoding="utf-8")
        data.write_text(json.dumps(self.data(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return [markdown, data]


def machine() -> str:
    """Return what the figures were measured on."""
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


def _missed(figures: Sequence[Figure]) -> str:
    """Return a line for those that miss the same target beside the same peer for the same cause."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for one in figures:
        names = alike.setdefault((one.peer, one.target, one.cause or UNKNOWN), [])
        names.append(f"**{one.name}**: {one.ratio:.2f} ×")
    return "\n".join(
        f"- {'; '.join(names)}, beside {peer}, wanted {target}. {cause}"
        for (peer, target, cause), names in alike.items()
    )
