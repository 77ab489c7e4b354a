"""A day of traffic through a stack of its own, and the proof that nothing of it is lost: `make day`.

Every figure of `analytics` is recounted from the raw events, every failure is looked up by its `requestId`, and the
estimated costs are held beside what the videos took.
"""

import os
import re
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any, Final, LiteralString

import httpx
import psycopg

from infra.local.day.recount import differences, raw_events, recounted
from infra.local.day.traffic import Traffic
from infra.local.stack import Stack
from shared.pricing import MERGE_MEMORY_MB, RENDER_MEMORY_MB, worker_dollars

REQUESTS, VIDEOS, PEOPLE = 10_000, 50, 20
AT_ONCE = 4
MOST_OFF = 0.2  # of the costs from the estimates
PATIENCE_SECONDS = 1800


class Day:
    """One simulated day: lived, then looked back on."""

    def __init__(self, stack: Stack, requests: int, videos: int, people: int = PEOPLE) -> None:
        self._stack, self._requests, self._videos = stack, requests, videos
        self._database = psycopg.connect(stack.superuser_url, autocommit=True)
        # All of the day within minutes, from one address.
        self._database.execute("update private.rate_limits set amount = 1000 * amount")
        self.traffic = Traffic(stack, people)
        self.failed_videos: list[str] = []

    def live(self) -> None:
        """Send everything, and wait until the workers and what is told beside the work are done."""
        traffic = self.traffic
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(traffic.begin, traffic.people))
            rest = self._requests - len(traffic.ledger) - 4 * (self._videos + 1)
            list(threads.map(traffic.one, range(max(rest, 0))))
        # One at a time, as each has a machine of its own when it is deployed: only then do its seconds tell its cost.
        for number in range(self._videos):
            traffic.render(traffic.people[number % len(traffic.people)])
            self._wait(_UNFINISHED)
        self._fail_in_a_worker()
        self._wait(_UNFINISHED)
        answered = len(traffic.ledger)
        self._wait("select %s - count(*) from public.usage_events where kind = 'request'", answered)

    def mistakes(self) -> list[str]:
        """Return what is not as it must be."""
        events = raw_events(self._database)
        completed = self._costs()[2]
        missing = [] if completed == self._videos else [f"{completed} of {self._videos} videos were completed"]
        return [*missing, *self._not_noted(events), *self._miscounted(events)]

    def summary(self) -> str:
        """Return what the day was like."""
        estimated, cost, count = self._costs()
        failures = Counter(one.code for one in self.traffic.ledger if one.status >= 400)
        lines = [f"{len(self.traffic.ledger)} requests, {failures.total()} failed: {dict(failures.most_common())}"]
        lines += [f"{count} videos completed, {len(self.failed_videos)} failed in a worker"]
        clips, merges = self._seconds()
        lines += [f"a clip took {clips:.2f} s, a merge {merges:.2f} s (medians of what was paid for)"]
        lines += [f"estimated ${estimated:.6f}, took ${cost:.6f}: {cost / estimated - 1:+.1%}"]
        return "\n".join(lines)

    def misestimated(self) -> list[str]:
        """Return in words by how much the estimates are off, where that is too much: on a machine that others use as
        well, seconds are longer than those of a worker that has one for itself.
        """
        estimated, cost, _ = self._costs()
        off = cost / estimated - 1
        return [f"the estimates are off by {off:+.0%}"] if abs(off) >= MOST_OFF else []

    def page(self, scope: str = "all") -> str:
        """Return the page as an admin sees it."""
        answer = self._ask({"scope": scope, "format": "html"})
        return answer.text

    def _fail_in_a_worker(self) -> None:
        """Start a video, one of whose images is no image any more: what fails lies behind the queue."""
        person = self.traffic.people[0]
        self._database.execute("update private.webhook_targets set name = 'paused' where name = 'storage_webhook'")
        self.traffic.redraw(person)
        name = person.frames[0]["imageUrl"].partition("/videomaker/")[2]
        [stored] = (self._stack.folder / "objects" / "videomaker" / name).iterdir()
        stored.write_bytes(bytes(2000))
        self.failed_videos.append(self.traffic.start_video(person))

    def _wait(self, query: LiteralString, *parameters: int) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            found = self._database.execute(query, parameters).fetchone()
            if found and found[0] <= 0:
                return
            time.sleep(0.2)
        raise TimeoutError(query)

    def _not_noted(self, events: list[dict[str, Any]]) -> list[str]:
        """Compare the client's ledger with the raw events, request by request."""
        noted = {one["request_id"]: one for one in events if one["kind"] == "request"}
        mistakes = []
        for asked in self.traffic.ledger:
            one = noted.get(asked.request_id)
            told = one and (one["function"], one["status"], one["code"])
            if told != (asked.function, asked.status, asked.code):
                mistakes.append(f"{asked} was noted as {told}")
            elif asked.user and one and one["user_id"] != asked.user:
                mistakes.append(f"{asked} went into the figures of {one['user_id']}")
        behind = {one["request_id"] for one in events if one["kind"] in ("clip", "video") and one["code"]}
        started = [one.request_id for one in self.traffic.ledger if one.function == "generate_video"]
        if not behind & set(started[-1:]):
            mistakes.append("what failed in a worker is not found by the id of the request that led there")
        return mistakes

    def _miscounted(self, events: list[dict[str, Any]]) -> list[str]:
        today = datetime.now(UTC).date()
        mistakes = []
        shown = self._ask({"scope": "all"}).json()
        counted = recounted(events, today, None)
        mistakes += [f"all: {one}" for one in differences(shown["days"][-1], counted)]
        for person in self.traffic.people[:3]:
            own = self._ask({}, token=person.token).json()
            own_count = recounted(events, today, person.subject)
            mistakes += [f"{person.subject}: {one}" for one in differences(own["days"][-1], own_count)]
        return mistakes + _misprinted(self.page(), counted["errors"])

    def _ask(self, query: dict[str, str], *, token: str | None = None) -> httpx.Response:
        known = token or self._stack.access_token(
            "00000000-0000-4000-8000-00000000ad01", app_metadata={"role": "admin"}
        )
        headers = {"Authorization": f"Bearer {known}", "X-Request-Id": _LOOK_BACK}
        return httpx.get(
            f"{self._stack.info['apiUrl']}/api/analytics", params=query, headers=headers, timeout=60
        ).raise_for_status()

    def _seconds(self) -> tuple[float, float]:
        """Return the median seconds that were paid for a clip, and for a merge."""
        found = self._database.execute(
            "select percentile_cont(0.5) within group (order by c.cost), percentile_cont(0.5) within group"
            " (order by v.cost - v.clips) from public.video_clips c join (select id, cost, (select sum(cost) from"
            " public.video_clips where final_video_id = f.id) as clips from public.final_videos f"
            " where status = 'completed') v on v.id = c.final_video_id"
        ).fetchone()
        clip, merge = found or (0, 0)
        return float(clip) / worker_dollars(1, RENDER_MEMORY_MB), float(merge) / worker_dollars(1, MERGE_MEMORY_MB)

    def _each(self) -> list[tuple[float, float]]:
        """Return the estimate and the cost of each completed video, in their order."""
        return self._database.execute(
            "select estimated_cost::float8, cost::float8 from public.final_videos"
            " where status = 'completed' order by id"
        ).fetchall()

    def _costs(self) -> tuple[float, float, int]:
        rows = self._each()
        return sum(one for one, _ in rows), sum(one for _, one in rows), len(rows)


_UNFINISHED: Final = "select count(*) from public.final_videos where status in ('queued', 'rendering', 'merging')"
_LOOK_BACK: Final = "day-looked-back-on"


def _misprinted(page: str, counted: dict[str, int]) -> list[str]:
    """Compare the page's own table of errors with what was counted."""
    table = re.search(r'aria-label="Errors by code"><table>.*?</table>', page, re.S)
    rows = re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', table[0] if table else "")
    printed = {unescape(code): int(number.replace(",", "")) for code, number in rows}
    return [] if printed == counted else [f"the page shows {printed}, {counted} was counted"]


def main() -> int:
    """Live the day and look back on it; REQUESTS, VIDEOS and PAGE (a file to write the page to) can be set."""
    requests, videos = (
        int(os.environ.get(name, default)) for name, default in (("REQUESTS", REQUESTS), ("VIDEOS", VIDEOS))
    )
    with tempfile.TemporaryDirectory(prefix="videomaker-day-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL is another user where we are root
        with Stack(Path(folder) / "state", port=0) as stack:
            day, started = Day(stack, requests, videos), time.monotonic()
            day.live()
            mistakes = day.mistakes() + day.misestimated()
            print(f"{day.summary()}\nlived in {time.monotonic() - started:.0f} s")
            if os.environ.get("PAGE"):
                Path(os.environ["PAGE"]).write_text(day.page(), encoding="utf-8")
    print("\n".join(mistakes[:50]) or "All figures are those of the raw events, and every request was found by its id.")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
