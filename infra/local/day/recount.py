"""The same figures from the raw events by another way: read row by row, and counted here, not in the database."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date
from typing import Any

import psycopg
from psycopg.rows import dict_row

Row = Mapping[str, Any]


def raw_events(database: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Return every raw event."""
    with database.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("select * from public.usage_events order by id").fetchall()


def recounted(events: Iterable[Row], day: date, user: str | None) -> dict[str, Any]:
    """Return what `analytics` says of one day, of one user or of all, under its own names."""
    rows = [one for one in events if one["created_at"].astimezone(UTC).date() == day and user in (None, one["user_id"])]
    requests = [one for one in rows if one["kind"] == "request"]
    uploads = [one for one in rows if one["kind"] in ("request", "upload") and one["amount"] > 0]
    videos = [one for one in rows if one["kind"] == "video"]
    clips = [one for one in rows if one["kind"] == "clip" and one["amount"] > 0]
    errors = Counter(one["code"] for one in rows if one["code"] and one["code"] != "canceled")
    found: dict[str, Any] = {
        "requests": len(requests),
        "failures": len([one for one in requests if one["status"] >= 400]),
        "uploads": _total(uploads, "amount"),
        "bytesIn": _total(rows, "bytes_in"),
        "bytesStored": _total(rows, "bytes_stored"),
        "bytesOut": _total(rows, "bytes_out"),
        "frames": _total([one for one in rows if one["kind"] == "frames"], "amount"),
        "videos": _total(videos, "amount"),
        "videosFailed": len([one for one in videos if not one["amount"] and one["code"] != "canceled"]),
        "renderSeconds": float(_total(rows, "render_seconds")),
        "shareViews": _total([one for one in rows if one["kind"] == "share_view"], "amount"),
        "estimatedCost": float(sum(one["estimated_cost"] for one in videos if one["amount"])),
    }
    for name, measured, column in (
        ("upload", uploads, "total_ms"), ("db", requests, "db_ms"), ("render", clips, "total_ms"),
    ):  # fmt: skip
        times = sorted(one[column] for one in measured if one[column] is not None)
        found |= {f"{name}P{rank}Ms": percentile(times, rank / 100) for rank in (50, 95)}
    return found | {"errors": dict(errors), "workers": float(_total(rows, "cost"))}


def percentile(times: Sequence[float], rank: float) -> float | None:
    """Return the value at this rank, between two of them where it lies there."""
    if not times:
        return None
    place = rank * (len(times) - 1)
    below = int(place)
    above = min(below + 1, len(times) - 1)
    return times[below] + (times[above] - times[below]) * (place - below)


def differences(shown: Mapping[str, Any], counted: Mapping[str, Any]) -> list[str]:
    """Return in which figures the answer differs from what was counted here."""
    found = dict(shown) | {"workers": shown["cost"]["workers"]}
    return [
        f"{name}: {found[name]} shown, {one} counted" for name, one in counted.items() if not _same(found[name], one)
    ]


def _total(rows: Iterable[Row], column: str) -> Any:
    return sum(one[column] for one in rows)


def _same(shown: Any, counted: Any) -> bool:
    if isinstance(shown, int | float) and isinstance(counted, int | float):
        return abs(shown - counted) <= 1e-6 * max(abs(shown), abs(counted), 1e-3)
    return bool(shown == counted)
