"""The usage -> a page of tiles and charts, each with its table, without a script; and a form that asks who is there."""

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

from functions.analytics.charts import Chart, Format, Series, ranks
from functions.analytics.figures import Usage
from functions.analytics.words import (
    axis_dollars,
    bytes_of,
    count,
    dollars,
    milliseconds,
    seconds,
    shown_range,
    whole_seconds,
)

_FOLDER: Final = Path(__file__).parent
_TEMPLATES: Final = {path.stem: Template(path.read_text(encoding="utf-8").strip()) for path in _FOLDER.glob("*.html")}
_STYLE: Final = (_FOLDER / "style.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_RANGES: Final = (7, 30, 90)
_MOST_CODES: Final = 7


class Plot(NamedTuple):
    """One chart of the page: what it shows, and in which form."""

    name: str
    title: str
    summary: str
    format: Format
    series: Sequence[Series]
    form: str = "stacked"
    limit: float | None = None


def headers() -> dict[str, str]:
    """Return the headers of the page: nothing comes from anywhere, and nothing is kept."""
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'self'"
    )
    return {
        "Cache-Control": "private, no-store",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept, Authorization, Cookie",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow",
    }


def sign_in_page(*, failed: bool) -> str:
    """Return the form that asks for an access token or an API key."""
    alert = '<p class="alert" id="alert" role="alert">That is not valid, or not any more.</p>' if failed else ""
    invalid = ' aria-invalid="true" aria-describedby="alert"' if failed else ""
    return _document("Usage", _fill("sign_in", alert=alert, invalid=invalid))


def usage_page(found: Usage) -> str:
    """Return the page of the usage."""
    used = found.totals.requests or found.totals.videos or found.totals.frames or found.totals.share_views
    notice = "" if used else '<p class="notice">Nothing was used in these days. What you do appears here at once.</p>'
    body = _fill(
        "usage",
        range=html.escape(shown_range(found.first, found.last)),
        scope="all users" if found.scope == "all" else "your account",
        ranges="".join(_range_link(found, days) for days in _RANGES),
        csv=html.escape(_address(found.first, found.last, found.scope, "csv")),
        notice=notice,
        tiles="".join(_tile(*tile) for tile in _tiles(found)),
        charts="\n".join([*(_figure(plot, found) for plot in _plots(found)), _errors(found)]),
        sessions=_sessions(found),
    )
    return _document(f"Usage, {shown_range(found.first, found.last)}", body)


def _tiles(found: Usage) -> list[tuple[str, str, str]]:
    all_days = found.totals
    failed = f"{all_days.failures / all_days.requests:.1%} failed" if all_days.requests else "none yet"
    budget = f"of {dollars(found.budget)} budget" if found.budget is not None else "all together"
    return [
        ("Requests", count(all_days.requests), failed),
        ("Uploads", count(all_days.uploads), f"{bytes_of(all_days.bytes_in)} in"),
        ("Videos", count(all_days.videos), f"{count(all_days.videos_failed)} failed"),
        ("Stored", bytes_of(found.held_bytes), "at present"),
        ("Cost", dollars(all_days.cost.total), budget),
    ]


def _plots(found: Usage) -> list[Plot]:
    days, sums = found.days, found.totals

    def series(name: str, attribute: str) -> Series:
        return Series(name, [getattr(day, attribute) for day in days])

    def times(name: str, title: str, attribute: str) -> Plot:
        pair = [series(f"p{rank}", f"{attribute}_p{rank}_ms") for rank in (50, 95)]
        slowest = max((value for value in pair[1].values if value is not None), default=None)
        summary = f"Median and 95th percentile; {milliseconds(slowest)} at most" if slowest is not None else ""
        return Plot(name, title, summary, milliseconds, pair, "lines")

    costs = [Series(name, [getattr(day.cost, name.lower()) for day in days])
             for name in ("Functions", "Workers", "Storage", "Egress")]  # fmt: skip
    daily = days[0].budget if days else None
    biggest = max((day.cost.total for day in days), default=0)
    return [
        Plot("cost", "Cost per day", f"{dollars(sums.cost.total)}, {_against(daily)}", axis_dollars, costs,
             limit=daily if daily is not None and daily < 4 * biggest else None),
        Plot("requests", "Requests",
             f"{count(sums.requests - sums.failures)} answered, {count(sums.failures)} failed", count,
             [Series("Answered", [day.requests - day.failures for day in days]), series("Failed", "failures")]),
        Plot("uploads", "Uploads", f"{count(sums.uploads)} images and files", count, [series("Uploads", "uploads")]),
        Plot("bytes", "Bytes in and stored", f"{bytes_of(sums.bytes_in)} came, {bytes_of(sums.bytes_stored)} were kept",
             bytes_of, [series("In", "bytes_in"), series("Stored", "bytes_stored")], "beside"),
        Plot("held", "Storage held", f"{bytes_of(found.held_bytes)} at present", bytes_of,
             [series("Held", "held_bytes")], "filled"),
        Plot("videos", "Videos", f"{count(sums.videos)} completed, {count(sums.videos_failed)} failed", count,
             [series("Completed", "videos"), series("Failed", "videos_failed")]),
        Plot("render-seconds", "Render seconds", f"{seconds(sums.render_seconds)} of workers", whole_seconds,
             [series("Seconds", "render_seconds")]),
        times("upload-times", "Upload time", "upload"),
        times("db-times", "Database time of a request", "db"),
        times("render-times", "Render time of a clip", "render"),
        Plot("share-views", "Share views", f"{count(sums.share_views)} views", count, [series("Views", "share_views")]),
    ]  # fmt: skip


def _against(daily: float | None) -> str:
    return "without a budget" if daily is None else f"against a budget of {dollars(daily)} a day"


def _figure(plot: Plot, found: Usage) -> str:
    days = [day.day for day in found.days]
    chart = Chart(
        plot.name,
        plot.title,
        f"{plot.summary or 'Nothing'}. {shown_range(found.first, found.last)}.",
        days,
        plot.format,
    )
    svg, legend = '<p class="nothing">Nothing in these days</p>', ""
    if any(value for one in plot.series for value in one.values):
        legend = _legend(plot)
        match plot.form:
            case "stacked":
                svg = chart.stacked(plot.series, plot.limit)
            case "beside":
                svg = chart.beside(plot.series)
            case _:
                svg = chart.lines(plot.series, filled=plot.form == "filled")
    rows = [
        (
            f"{day:%Y-%m-%d}",
            *("–" if one.values[number] is None else plot.format(one.values[number] or 0) for one in plot.series),
        )
        for number, day in enumerate(days)
    ]
    return _with_table(plot, legend + svg, ("Day", *(one.name for one in plot.series)), rows)


def _errors(found: Usage) -> str:
    codes = list(found.totals.errors.items())
    total = sum(found.totals.errors.values())
    plot = Plot("errors", "Errors by code", f"{count(total)} of {len(codes)} kinds" if codes else "", count, [])
    chart = Chart(plot.name, plot.title, plot.summary, [], count)
    shown = codes[:_MOST_CODES]
    svg = ranks(chart, shown) if shown else '<p class="nothing">Nothing in these days</p>'
    rows = [(code, count(number)) for code, number in codes]
    return _with_table(plot, svg, ("Code", "Errors"), rows)


def _sessions(found: Usage) -> str:
    if not found.sessions:
        return ""
    head = ("Session", "Frames", "Videos", "Render time", "Stored", "Views", "Cost")
    rows = [
        (one.session_id, count(one.frames or 0), count(one.videos or 0), seconds(one.render_seconds),
         bytes_of(one.bytes_stored), count(one.share_views or 0), dollars(one.cost))
        for one in found.sessions
    ]  # fmt: skip
    table = _table(head, rows)
    return (
        '<section aria-labelledby="sessions"><h2 id="sessions">Sessions that cost most</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="sessions">'
        f"<table>{table}</table></div></section>"
    )


def _with_table(plot: Plot, svg: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return _fill(
        "chart",
        title=html.escape(plot.title),
        lower=html.escape(plot.title.lower()),
        summary=html.escape(plot.summary),
        svg=svg,
        head=_cells(head, head=True),
        rows=_rows(rows),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return f"<thead><tr>{_cells(head, head=True)}</tr></thead><tbody>{_rows(rows)}</tbody>"


def _rows(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"<tr>{_cells(row, head=False)}</tr>" for row in rows)


def _cells(row: Sequence[str], *, head: bool) -> str:
    if head:
        return "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in row)
    first, *others = (html.escape(cell) for cell in row)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others)


def _legend(plot: Plot) -> str:
    if len(plot.series) < 2 and plot.limit is None:
        return ""
    items = [f'<li class="k{number}">{html.escape(one.name)}</li>' for number, one in enumerate(plot.series, start=1)]
    if plot.limit is not None:
        items.append('<li class="limit">Budget</li>')
    return f'<ul class="legend">{"".join(items)}</ul>'


def _tile(name: str, value: str, more: str) -> str:
    return (
        f"<div><dt>{html.escape(name)}</dt><dd><b>{html.escape(value)}</b><small>{html.escape(more)}</small></dd></div>"
    )


def _range_link(found: Usage, days: int) -> str:
    today = datetime.now(UTC).date()
    first = today - timedelta(days=days - 1)
    current = ' aria-current="page"' if (found.first, found.last) == (first, today) else ""
    return f'<a href="{html.escape(_address(first, today, found.scope, "html"))}"{current}>{days} days</a>'


def _address(first: date, last: date, scope: str, form: str) -> str:
    return f"?from={first}&to={last}&scope={scope}&format={form}"


def _document(title: str, body: str) -> str:
    return _fill("page", title=html.escape(title), style=_STYLE, body=body)


def _fill(template: str, **values: str) -> str:
    """Put markup into a template: whoever calls has escaped what is none."""
    filled: Mapping[str, str] = values
    return _TEMPLATES[template].substitute(filled)
