"""Looks for a request in what the functions and the gateway have logged: all that it led to, in the order of time."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.local.state import StackError

Line = dict[str, Any]

_LEFT_OUT = ("time", "level", "event", "function", "text", "requestId", "invocationId", "traceId", "_aws")


def main(folder: Path, request_id: str | None, *, errors: bool, as_json: bool) -> int:
    """Print the lines of one request, or of all; answers 1 where there are none. Raises StackError without a log."""
    found = lines_of(folder, request_id)
    if errors:
        found = [line for line in found if line.get("level") == "ERROR"]
    for line in found:
        print(json.dumps(line) if as_json else readable(line))
    if not found:
        print("There is no such line.", file=sys.stderr)
    return 0 if found else 1


def lines_of(folder: Path, request_id: str | None = None) -> list[Line]:
    """The lines in a state folder; of one request those, too, of the gateway about the same invocations.

    `request_id` may also be Lambda's own id of an invocation. Raises StackError where nothing was ever logged.
    """
    path = folder / "logs" / "functions.jsonl"
    if not path.exists():
        raise StackError(f"No stack has run on {folder}.")
    lines = sorted(_parsed(path), key=lambda line: str(line.get("time", "")))
    return lines if request_id is None else about(lines, request_id)


def about(lines: Sequence[Line], request_id: str) -> list[Line]:
    """Those lines that belong to a request, or to an invocation that worked for it."""
    own = [line for line in lines if request_id in (line.get("requestId"), line.get("invocationId"))]
    invocations = {line["invocationId"] for line in own if line.get("invocationId")}
    requests = {line["requestId"] for line in own if line.get("requestId")} - invocations | {request_id}
    return [line for line in lines if line.get("requestId") in requests or line.get("invocationId") in invocations]


def readable(line: Line) -> str:
    """A line for a person: when, where, what, and its further fields."""
    more = " ".join(f"{name}={value}" for name, value in line.items() if name not in _LEFT_OUT and value is not None)
    words = (
        line.get("time", ""),
        line.get("level", ""),
        line.get("function") or "",
        line["event"],
        line.get("text", ""),
    )
    return " ".join(word for word in (*map(str, words), more) if word)


def _parsed(path: Path) -> Iterator[Line]:
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield json.loads(text)
        except ValueError:  # a line that is being written
            continue
