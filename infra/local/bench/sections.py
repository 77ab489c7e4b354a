"""What is measured, in sections, each in a process of its own, which leaves nothing behind for the next."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from infra.local.bench import clips, cold_starts, images, joining, rendering, scale, settings, warm_calls
from infra.local.bench.figures import Figure
from infra.local.bench.report import Section

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


def measured(name: str) -> Section:
    """Measure a section, and say on stderr how long it took."""
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
