"""Measured figures: a value beside a peer's, taken in turns within one run, so that the ratio holds anywhere."""

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median, quantiles


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, the peer's value in the same unit, and their ratio against the target; lower is better.

    `spread` is the distance between the quartiles of the ratio, as a share of it, and None where there was one turn.
    `met` is None without a target, `cause` what stands between the figure and its target where that is known.
    """

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float
    ratio: float
    target: str
    met: bool | None
    spread: float | None
    cause: str = ""


def compared(  # noqa: PLR0913
    name: str,
    unit: str,
    peer: str,
    pairs: Sequence[tuple[float, float]],
    limit: float | None = None,
    *,
    cause: str = "",
) -> Figure:
    """Return the figure of pairs (ours, the peer's), medians of each and of the ratios; met where within `limit`."""
    ratios = [ours / theirs for ours, theirs in pairs]
    ratio = median(ratios)
    return Figure(
        name=name,
        value=median(ours for ours, _ in pairs),
        unit=unit,
        peer=peer,
        peer_value=median(theirs for _, theirs in pairs),
        ratio=ratio,
        target="" if limit is None else f"≤ {limit:.3g} ×",
        met=None if limit is None else ratio <= limit,
        spread=_spread(ratios) / ratio if len(ratios) > 1 else None,
        cause=cause,
    )


def compared_tails(
    name: str, unit: str, peer: str, pairs: Sequence[tuple[float, float]], limit: float | None = None
) -> Figure:
    """Return the same of the 99th percentiles; their spread is that between five stretches of the run."""
    length = len(pairs) // 5
    stretches = [pairs[start : start + length] for start in range(0, 5 * length, length)]
    figure = compared(name, unit, peer, [_tails(stretch) for stretch in stretches], limit)
    ours, theirs = _tails(pairs)
    met = None if limit is None else ours / theirs <= limit
    return replace(figure, value=ours, peer_value=theirs, ratio=ours / theirs, met=met)


def _spread(ratios: Sequence[float]) -> float:
    low, _, high = quantiles(ratios, n=4)
    return high - low


def _tails(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    ours, theirs = (quantiles(times, n=100, method="inclusive")[-1] for times in zip(*pairs, strict=True))
    return ours, theirs


def elapsed(run: Callable[[], object]) -> float:
    """Return the milliseconds until a call returns."""
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1000


def in_turn(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    cost: Callable[[Callable[[], object]], float] = elapsed,
) -> dict[str, list[float]]:
    """Return what each contender's calls cost; the first round warms up and does not count."""
    costs: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            spent = cost(run)
            if turn:
                costs[name].append(spent)
    return costs


def cpu_of(run: Callable[[], object]) -> float:
    """Return the milliseconds of CPU that a call takes, of this process and of those that it starts."""
    before = _cpu()
    run()
    return 1000 * (_cpu() - before)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as an aligned Markdown table."""
    rows: list[tuple[str, ...]] = [("figure", "value", "peer", "peer's value", "ratio", "spread", "target", "met")]
    return columns(rows + [_row(figure) for figure in figures])


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows, the first of them the head, as an aligned Markdown table."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        _number(figure.value, figure.unit),
        figure.peer,
        _number(figure.peer_value, figure.unit),
        f"{figure.ratio:.2f} ×",
        "once" if figure.spread is None else f"± {figure.spread / 2:.0%}",
        figure.target or "-",
        {True: "yes", False: "no", None: "-"}[figure.met],
    )


def _number(value: float, unit: str) -> str:
    """Return three digits that count, without an exponent."""
    return f"{float(f'{value:.3g}'):,.10g} {unit}".rstrip()
