"""Load by Locust, in a process of its own, because gevent changes how all of it waits: steps in, what came of them out.

Reads JSON from standard input: `apiUrl`, `tokens` (one for each person), `steps` (how many people at once), `seconds`.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import random  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import psutil  # noqa: E402
from locust import User, task  # noqa: E402
from locust.env import Environment  # noqa: E402

from infra.local.traffic.ledger import Json, Ledger  # noqa: E402
from infra.local.traffic.visits import Person  # noqa: E402

PERCENTILES = (0.5, 0.95, 0.99)


class TimedLedger(Ledger):
    """A ledger that tells Locust of each answer too."""

    environment: Environment

    def note(self, function: str, status: int | str, body: Json | None = None, seconds: float = 0.0) -> None:
        """Count an answer, and how long it took."""
        super().note(function, status, body, seconds)
        failed = not isinstance(status, int) or status >= 400
        self.environment.events.request.fire(
            request_type="HTTP",
            name=function,
            response_time=seconds * 1000,
            response_length=0,
            exception=RuntimeError(str(status)) if failed else None,
            context={},
        )


def main() -> int:
    """Run the steps one after the other, and print what they measured and what was promised."""
    wanted: dict[str, Any] = json.load(sys.stdin)
    ledger = TimedLedger()
    waiting = list(wanted["tokens"])

    class Visitor(User):  # type: ignore[misc]  # locust is here for `make load` alone
        """One of the people, who does one thing after the other without a pause."""

        def on_start(self) -> None:
            self.person = Person(wanted["apiUrl"], waiting.pop(), ledger, random.Random(len(waiting)))

        @task  # type: ignore[untyped-decorator]
        def act(self) -> None:
            self.person.act()

    environment = Environment(user_classes=[Visitor], catch_exceptions=False)
    ledger.environment = environment
    runner = environment.create_local_runner()
    measured = []
    for people in wanted["steps"]:
        runner.start(people, spawn_rate=people)
        gevent.sleep(2)  # for those who have just come
        environment.stats.reset_all()
        psutil.cpu_percent()
        gevent.sleep(wanted["seconds"])
        total = environment.stats.total
        measured.append(
            {
                "people": people,
                "perSecond": total.total_rps,
                "milliseconds": [total.get_response_time_percentile(one) for one in PERCENTILES],
                "requests": total.num_requests,
                "errors": total.num_failures,
                "cpu": psutil.cpu_percent(),
                "megabytes": _memory(wanted["watched"]),
            }
        )
    runner.stop()
    boards = {name: {"mayHold": one.may_hold, "version": one.version} for name, one in ledger.storyboards.items()}
    found = {"steps": measured, "uploads": ledger.uploads, "storyboards": boards, "answers": dict(ledger.answers)}
    json.dump({**found, "wrong": ledger.wrong, "failures": ledger.failures}, sys.stdout)
    return 0


def _memory(pid: int) -> float:
    """Return the memory of a process and all that it has started, in MB, each counted with what it shares."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 1e6


if __name__ == "__main__":
    sys.exit(main())
