"""Small charts as SVG: bars, stacked or side by side, lines, and ranks. Colours are classes of the page's style."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil, floor, log10
from typing import Final

WIDTH: Final = 480
HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 8, 12, 26
_STEPS: Final = (1, 2, 4, 6, 8, 10)
_LABELS: Final = 4  # below the horizontal axis

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """One row of values, one for each day; None where nothing was measured."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows, said in words, and of which days."""

    name: str
    title: str
    description: str
    days: Sequence[date]
    format: Format

    def stacked(self, series: Sequence[Series], limit: float | None = None) -> str:
        """Return bars, the series of a day upon one another; `limit` is a line across."""
        tops = [sum(one.values[day] or 0 for one in series) for day in range(len(self.days))]
        top = _ceiling(max([*tops, limit or 0]))
        slot, width = self._slot()
        parts = []
        for day in range(len(self.days)):
            below = 0.0
            for number, one in enumerate(series, start=1):
                value = one.values[day] or 0
                if value > 0:
                    parts.append(_bar((self._x(day) + (slot - width) / 2, width), (below, below + value), top, number))
                below += value
        if limit is not None:
            y = _y(limit, top)
            parts.append(f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        return self._framed(top, parts)

    def beside(self, series: Sequence[Series]) -> str:
        """Return bars, the series of a day beside one another."""
        top = _ceiling(max((value or 0 for one in series for value in one.values), default=0))
        slot, width = self._slot()
        each = width / len(series)
        parts = [
            _bar(
                (self._x(day) + (slot - width) / 2 + each * (number - 1), each), (0, one.values[day] or 0), top, number
            )
            for day in range(len(self.days))
            for number, one in enumerate(series, start=1)
            if (one.values[day] or 0) > 0
        ]
        return self._framed(top, parts)

    def lines(self, series: Sequence[Series], *, filled: bool = False) -> str:
        """Return a line for each series, broken where nothing was measured, with a dot for a day on its own."""
        top = _ceiling(max((value or 0 for one in series for value in one.values), default=0))
        parts = []
        for number, one in enumerate(series, start=1):
            for stretch in _stretches(one.values):
                points = [(self._x(day) + self._slot()[0] / 2, _y(one.values[day] or 0, top)) for day in stretch]
                text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
                base = _y(0, top)
                if filled and len(points) > 1:
                    area = f"{points[0][0]:.1f},{base:.1f} {text} {points[-1][0]:.1f},{base:.1f}"
                    parts.append(f'<polygon class="area s{number}" points="{area}"/>')
                if len(points) > 1:
                    parts.append(f'<polyline class="line s{number}" points="{text}"/>')
                else:
                    parts.append(f'<circle class="s{number}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3.5"/>')
        return self._framed(top, parts)

    def _slot(self) -> tuple[float, float]:
        """Return how much room a day has, and how much of it its bars take."""
        slot = (WIDTH - _LEFT - _RIGHT) / len(self.days)
        return slot, min(slot * (0.72 if slot > 6 else 0.9), 56)

    def _x(self, day: int) -> float:
        return _LEFT + day * self._slot()[0]

    def _framed(self, top: float, parts: Sequence[str]) -> str:
        grid = []
        for step in range(5):
            value = top * step / 4
            y = _y(value, top)
            kind = "base" if step == 0 else "grid"
            grid.append(f'<line class="{kind}" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            if step % 2 == 0:
                label = html.escape(self.format(value))
                grid.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        return _svg(self, [*grid, *parts, *self._dates()], HEIGHT)

    def _dates(self) -> list[str]:
        """Return labels of some days, the last one among them."""
        every = max(1, ceil(len(self.days) / _LABELS))
        chosen = range((len(self.days) - 1) % every, len(self.days), every)
        slot = self._slot()[0]
        found = []
        for day in chosen:
            x = self._x(day) + slot / 2
            anchor = "end" if x > WIDTH - 30 else "start" if x < _LEFT + 18 and len(self.days) > 1 else "middle"
            shown = f"{self.days[day].day} {self.days[day]:%b}"
            x = min(x + 8, WIDTH - 2) if anchor == "end" else x
            found.append(f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{shown}</text>')
        return found


def ranks(chart: Chart, items: Sequence[tuple[str, float]]) -> str:
    """Return horizontal bars, the name and the number of each above it."""
    most = max(value for _, value in items)
    row = 25
    parts = []
    for place, (name, value) in enumerate(items):
        y = 4 + place * row
        width = max(2.0, (WIDTH - 4) * value / most)
        number = html.escape(chart.format(value))
        parts.append(
            f'<text x="2" y="{y + 11}">{html.escape(name)}</text>'
            f'<text class="number" x="{WIDTH - 2}" y="{y + 11}" text-anchor="end">{number}</text>'
            f'<rect class="s1" x="2" y="{y + 15}" width="{width:.1f}" height="5" rx="2.5"/>'
        )
    return _svg(chart, parts, 4 + row * len(items))


def _svg(chart: Chart, parts: Sequence[str], height: int) -> str:
    title, description = f"{chart.name}-title", f"{chart.name}-description"
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{title} {description}">'
        f'<title id="{title}">{html.escape(chart.title)}</title>'
        f'<desc id="{description}">{html.escape(chart.description)}</desc>{"".join(parts)}</svg>'
    )


def _bar(across: tuple[float, float], upright: tuple[float, float], top: float, number: int) -> str:
    (x, width), (y, end) = across, (_y(upright[1], top), _y(upright[0], top))
    return (
        f'<rect class="s{number}" x="{x:.1f}" y="{y:.1f}" width="{max(width - 1, 1):.1f}"'
        f' height="{max(end - y, 0.8):.1f}" rx="1.5"/>'
    )


def _y(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * value / top


def _ceiling(most: float) -> float:
    """Return a round number above, which four parts of are round too."""
    if most <= 0:
        return 4.0
    scale: float = 10.0 ** floor(log10(most))
    return next(step * scale for step in _STEPS if step * scale >= most * 0.999)


def _stretches(values: Sequence[float | None]) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for day, value in enumerate(values):
        if value is not None:
            found[-1].append(day)
        elif found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]
