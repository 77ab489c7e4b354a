"""What calls take among 1,000,000 frames, beside the same calls on an almost empty database, in turns."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import Any

from infra.local.bench import handlers
from infra.local.bench.figures import Figure, compared, compared_tails, table
from infra.local.bench.stacks import temporary_stack
from infra.local.population import FEW, MANY, Population, populate, subject_of
from infra.local.stack import Stack

_READS, _SAVES, _WARMING = 300, 120, 20
_LIMIT, _SECONDS = 1.5, 120.0
_ORDINARY, _HEAVY = 0, 1
_PAGE = 100  # of the heavy user, who has but two on the almost empty database
_SEARCH = "lantern"

Pairs = list[tuple[float, float]]


class _Side:
    """One stack with its population, and a process in which the handlers run."""

    def __init__(self, stack: Stack, population: Population, process: ProcessPoolExecutor) -> None:
        started = time.perf_counter()
        populate(stack, population)
        self.seconds = time.perf_counter() - started
        self._tokens = [stack.access_token(subject_of(person)) for person in (_ORDINARY, _HEAVY)]
        self._process = process

    def call(self, person: int, name: str, method: str = "GET", **given: Any) -> tuple[float, str]:
        return self._process.submit(handlers.call, name, method, self._tokens[person], **given).result()

    def read(self, person: int, name: str, **query: str) -> Any:
        return json.loads(self.call(person, name, query=query)[1])

    def last_page(self, most: int) -> str:
        """Return the cursor that leads to the heavy user's last full page, or to that of this number."""
        cursor = self.read(_HEAVY, "history")["nextCursor"]
        for _ in range(most - 2):
            following = self.read(_HEAVY, "history", cursor=cursor)["nextCursor"]
            if following is None:
                break
            cursor = following
        return str(cursor)


def measure() -> list[Figure]:
    """Return the seconds that the population takes, and p50 and p99 of each call against the almost empty database."""
    with _side(MANY) as many, _side(FEW) as few:
        figures = [compared("1,000,000 frames, generated", "s", "two minutes", [(many.seconds, _SECONDS)], 1.0)]
        for name, call in _calls(many, few).items():
            rounds = _SAVES if name.startswith("save") else _READS
            pairs = [(call(many), call(few)) for _ in range(rounds + _WARMING)][_WARMING:]
            figures += [
                compared(f"{name}, p50", "ms", "almost empty database", pairs, _LIMIT),
                compared_tails(f"{name}, p99", "ms", "almost empty database", pairs, _LIMIT),
            ]
    return figures


def _calls(many: _Side, few: _Side) -> Mapping[str, Callable[[_Side], float]]:
    """Return the calls to measure, each of which returns milliseconds."""
    sides = (many, few)
    ids = {
        side: [one["sessionId"] for one in side.read(_ORDINARY, "history", scope="own")["sessions"]] for side in sides
    }
    cursors = {side: side.last_page(_PAGE) for side in sides}
    storyboards = {side: _storyboard(side, ids[side][-1]) for side in sides}
    turns = iter(range(10_000))

    def saving(side: _Side) -> float:
        body = storyboards[side]
        said = f"take {next(turns)}"
        frames = [{**frame, "description": f"{frame['description']}, {said}"} for frame in body["frames"]]
        return side.call(_ORDINARY, "save_frames", "POST", body={**body, "frames": frames})[0]

    return {
        "get_frames": lambda side: side.call(_ORDINARY, "get_frames", query={"sessionId": ids[side][0]})[0],
        "history, first page": lambda side: side.call(_ORDINARY, "history")[0],
        f"history, page {_PAGE}": lambda side: side.call(_HEAVY, "history", query={"cursor": cursors[side]})[0],
        "history, searched": lambda side: side.call(_ORDINARY, "history", query={"q": _SEARCH})[0],
        "save_frames, 20 frames": saving,
    }


def _storyboard(side: _Side, session_id: str) -> dict[str, Any]:
    stored = side.read(_ORDINARY, "get_frames", sessionId=session_id)
    names = ("sessionId", "originalPrompt", "videoDuration", "frameCount", "style", "mood")
    kept = ("frameNumber", "timestamp", "imageUrl", "description", "prompt", "sceneStory", "storyTitle")
    frames = [{name: frame[name] for name in kept} for frame in stored["frames"]]
    return {**{name: stored["session"][name] for name in names}, "frames": frames}


@contextmanager
def _side(population: Population) -> Iterator[_Side]:
    with ExitStack() as undo:
        stack = undo.enter_context(temporary_stack())
        environment = stack.function_environment()
        process = ProcessPoolExecutor(1, get_context("spawn"), initializer=_prepare, initargs=(environment,))
        yield _Side(stack, population, undo.enter_context(process))


def _prepare(environment: Mapping[str, str]) -> None:
    os.environ.update(environment)


if __name__ == "__main__":
    print(table(measure()))
