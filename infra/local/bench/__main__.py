"""Measures what this bundle adds to what it stands on, as ratios within one run: `make bench`.

Contenders take turns, so that both meet the same noise, and medians are compared. Tests assert none of it.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Final

from infra.local.bench import clips, cold_starts, images, joining, rendering, scale, settings, warm_calls
from infra.local.bench.figures import Figure
from infra.local.bench.report import Report, Section
from infra.local.state import TOP

SECTIONS: Final[Mapping[str, Callable[[], Sequence[Figure]]]] = {
    "cold_starts": cold_starts.measure,
    "warm_calls": warm_calls.measure,
    "scale": scale.measure,
    "images": images.measure,
    "clips": clips.measure,
    "joining": joining.measure,
    "rendering": rendering.measure,
}
NOTES: Final[Mapping[str, Callable[[], str]]] = {"images": settings.pareto}
FOLDER: Final = TOP / "build"


def main(arguments: list[str] | None = None) -> int:
    """Print the tables, and write them as build/bench.md and build/bench.json."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"all, or some of: {', '.join(SECTIONS)}")
    wanted = parser.parse_args(arguments).sections or list(SECTIONS)
    if unknown := set(wanted) - SECTIONS.keys():
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    began = datetime.now(UTC)
    report = Report([_measured(name) for name in wanted], began)
    print(report.markdown())
    print("Written:", *report.write(FOLDER))
    return 0


def _measured(name: str) -> Section:
    """Measure a section in a process of its own, which leaves nothing behind for the next."""
    started = time.monotonic()
    print(f"{name} … ", end="", file=sys.stderr, flush=True)
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_silence) as process:
        figures, notes = process.submit(_run, name).result()
    seconds = time.monotonic() - started
    print(f"{seconds:.0f} s", file=sys.stderr)
    return Section(name.replace("_", " ").capitalize(), figures, seconds, notes)


def _run(name: str) -> tuple[Sequence[Figure], str]:
    return SECTIONS[name](), NOTES[name]() if name in NOTES else ""


def _silence() -> None:
    """Let what functions log go nowhere; writing it stays part of what they cost."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
