"""What the database knows of the usage -> the answer: every day of the range, what each cost, and all together."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from pydantic import Field

from shared.models import Model, Success
from shared.pricing import DAYS_A_MONTH, day_cost

_SUMMED: Final = (
    "requests", "failures", "uploads", "bytes_in", "bytes_stored", "bytes_out", "frames", "batches", "videos",
    "videos_failed", "render_seconds", "share_views", "estimated_cost",
)  # fmt: skip


class Cost(Model):
    """US dollars, by what they were spent on."""

    functions: float = 0
    workers: float = 0
    storage: float = 0
    egress: float = 0
    total: float = 0


class Sums(Model):
    """What was used."""

    requests: int = 0
    failures: int = 0
    uploads: int = 0
    bytes_in: int = 0
    bytes_stored: int = 0
    bytes_out: int = 0
    frames: int = 0
    batches: int = 0
    videos: int = 0
    videos_failed: int = 0
    render_seconds: float = 0
    share_views: int = 0
    errors: dict[str, int] = Field(default_factory=dict)
    estimated_cost: float = 0
    cost: Cost = Cost()


class Day(Sums):
    """One day in UTC. Times are milliseconds, null where nothing was measured."""

    day: date
    upload_p50_ms: float | None = None
    upload_p95_ms: float | None = None
    db_p50_ms: float | None = None
    db_p95_ms: float | None = None
    render_p50_ms: float | None = None
    render_p95_ms: float | None = None
    held_bytes: int = 0
    budget: float | None = None


class Session(Model):
    """What one session has used, of the last 30 days."""

    session_id: str
    frames: int | None = 0
    videos: int | None = 0
    render_seconds: float = 0
    bytes_stored: int = 0
    share_views: int | None = 0
    estimated_cost: float | None = 0
    cost: float = 0


class Usage(Success):
    """The usage of a range of days, both included."""

    scope: str
    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    currency: str = "USD"
    budget: float | None = Field(description="Of the whole range, at the month's budget")
    held_bytes: int
    totals: Sums
    days: list[Day]
    sessions: list[Session]


def usage(report: Mapping[str, Any], scope: str, first: date, last: date) -> Usage:
    """Return the answer, in which no day is missing."""
    daily = report["budget_cents"] / 100 / DAYS_A_MONTH if report["budget_cents"] else None
    days = _days(report, first, last, daily)
    return Usage(
        scope=scope,
        first=first,
        last=last,
        budget=None if daily is None else round(daily * len(days), 6),
        held_bytes=report["storage_bytes"],
        totals=_totals(days),
        days=days,
        sessions=[
            Session.model_validate({k: v for k, v in one.items() if v is not None}) for one in report["sessions"]
        ],
    )


def as_csv(found: Usage) -> str:
    """Return one line a day, as RFC 4180 has it; the errors in one column, `code=count` each."""
    out = io.StringIO()
    writer = csv.writer(out)
    rows = [_flat(day) for day in found.days]
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    return out.getvalue()


def _flat(day: Day) -> dict[str, object]:
    row: dict[str, object] = day.model_dump(mode="json", by_alias=True)
    errors, cost = day.errors, day.cost.model_dump(by_alias=True)
    row = {"day": row.pop("day")} | row
    row["errors"] = " ".join(f"{code}={count}" for code, count in errors.items())
    return {name: value for name, value in row.items() if name != "cost"} | {
        f"cost{name.capitalize()}": amount for name, amount in cost.items()
    }


def _days(report: Mapping[str, Any], first: date, last: date, budget: float | None) -> list[Day]:
    known = {one["day"]: {name: value for name, value in one.items() if value is not None} for one in report["days"]}
    held, days = 0, []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        row = known.get(day.isoformat(), {"day": day})
        # Of a day that nobody looked at, what was held the day before.
        held = (report["held"] or {}).get(day.isoformat(), held)
        days.append(_day(row, held, budget))
    if days and last >= date.fromisoformat(report["today"]):
        days[-1] = _day(known.get(last.isoformat(), {"day": last}), report["storage_bytes"], budget)
    return days


def _day(row: Mapping[str, Any], held: int, budget: float | None) -> Day:
    spent = day_cost(
        row.get("requests", 0), row.get("gb_seconds", 0), row.get("cost", 0), held, row.get("bytes_out", 0)
    )
    cost = Cost(**spent._asdict(), total=spent.total)
    return Day.model_validate({**row, "cost": cost, "held_bytes": held, "budget": budget})


def _totals(days: Sequence[Day]) -> Sums:
    errors: Counter[str] = Counter()
    for day in days:
        errors.update(day.errors)
    summed = {name: sum(getattr(day, name) for day in days) for name in _SUMMED}
    costs = {name: sum(getattr(day.cost, name) for day in days) for name in Cost.model_fields}
    return Sums.model_validate(summed | {"errors": dict(errors.most_common()), "cost": Cost(**costs)})
