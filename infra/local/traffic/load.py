"""More and more people at once, in a real mix, and afterwards all that was promised to them: `make load SECONDS=20`."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from infra.local.bench.figures import columns
from infra.local.stack import Stack
from infra.local.state import TOP
from infra.local.traffic.checking import lost, stored_hashes
from infra.local.traffic.ledger import Ledger, Storyboard

STEPS = (1, 2, 4, 8, 16, 32)


def run(stack: Stack, steps: tuple[int, ...], seconds: float) -> dict[str, Any]:
    """Let so many people work for so many seconds each, and return what was measured and what was lost."""
    with psycopg.connect(stack.superuser_url, autocommit=True) as connection:
        connection.execute("update private.rate_limits set amount = 1000 * amount")
    tokens = [stack.access_token() for _ in range(max(steps))]
    expected = stored_hashes(stack)
    wanted = {"apiUrl": stack.info["apiUrl"], "tokens": tokens, "steps": steps, "seconds": seconds}
    wanted["watched"] = stack.pid_of("gateway")
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.traffic.generator"],
        input=json.dumps(wanted),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=TOP,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    ledger = Ledger(
        uploads=found["uploads"],
        storyboards={name: Storyboard(one["mayHold"], one["version"]) for name, one in found["storyboards"].items()},
    )
    found["lost"] = lost(stack, tokens, ledger, expected)
    return found


def knee(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the last step before which more people still got a tenth more done."""
    found = steps[0]
    for step in steps[1:]:
        if step["perSecond"] < 1.1 * found["perSecond"]:
            break
        found = step
    return found


def table(steps: list[dict[str, Any]]) -> str:
    """Return the steps as a Markdown table."""
    rows: list[tuple[str, ...]] = [
        ("people at once", "requests/s", "p50", "p95", "p99", "errors", "CPU", "memory of the functions")
    ]
    for step in steps:
        times = [f"{milliseconds:.0f} ms" for milliseconds in step["milliseconds"]]
        errors = f"{step['errors']} of {step['requests']}"
        rows.append(
            (str(step["people"]), f"{step['perSecond']:.1f}", *times, errors, f"{step['cpu']:.0f} %",
             f"{step['megabytes']:.0f} MB")
        )  # fmt: skip
    return columns(rows)


def main() -> int:
    """Print the table, where the knee is, and what was lost."""
    seconds = float(os.environ.get("SECONDS") or 20)
    with tempfile.TemporaryDirectory(prefix="videomaker-load-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL is another user where we are root
        with Stack(Path(folder) / "state", port=0) as stack:
            found = run(stack, STEPS, seconds)
    best = knee(found["steps"])
    print(table(found["steps"]))
    print(
        f"\nThe knee is at {best['people']} people and {best['perSecond']:.0f} requests a second, with the machine's"
        f" {os.cpu_count()} cores {best['cpu']:.0f} % busy, of which the generator, Postgres and the Storage stand-in"
        " take their part."
    )
    print(f"{len(found['uploads'])} uploads and {len(found['storyboards'])} storyboards were acknowledged; lost:"
          f" {len(found['lost'])}; read otherwise than saved: {len(found['wrong'])}.")  # fmt: skip
    for one in [*found["lost"], *found["wrong"]]:
        print(one)
    return 1 if found["lost"] or found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
