"""What the simulation found, as tables: where a deployment saturates first, what the next step is, and the bill."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Final

from infra.local.bench.figures import columns
from infra.local.gateway.configuration import Service
from infra.local.simulation.measured import Measured
from infra.local.simulation.model import CALLS, FRAMES, Cost, Outcome, Platform, offered
from infra.local.state import TOP
from shared.pricing import PRICES

BUSY: Final = 0.7  # above which waits grow steeply
VIEWS: Final = 3  # of each video
NEXT: Final = {
    "Lambda": "a higher quota of concurrent executions (AWS raises it on request)",
    "renderers": "a higher `maximumConcurrency` of `render_clip`",
    "mergers": "a higher `maximumConcurrency` of `merge_clips`",
    "database": "a larger compute add-on, whose pool has more connections; `REDIS_URL` for what is only read",
}
_MINUTES_A_MONTH: Final = 60 * 24 * 30
_GIGABYTE: Final = 1e9


def deployed() -> Platform:
    """Return what `serverless.yml` deploys, on an account with the usual quota and a small Supabase project."""
    functions = Service(TOP / "serverless.yml").functions

    def workers(name: str) -> int:
        return max(source.concurrency for source in functions[name].sources)

    return Platform(renderers=workers("render_clip"), mergers=workers("merge_clips"))


def memory_gb() -> Mapping[str, float]:
    """Return the memory of each function, as `serverless.yml` says."""
    functions = Service(TOP / "serverless.yml").functions
    return {name: functions[name].memory / 1024 for name in CALLS}


def first_limit(costs: Mapping[str, Cost], platform: Platform, per_minute: float) -> tuple[str, float]:
    """Return the pool that is asked for most of its places, and for which share of them."""
    asked = offered(costs, per_minute)
    shares = {name: asked[name] / places for name, places in platform.places().items()}
    name = max(shares, key=lambda one: shares[one])
    return name, shares[name]


def monthly_bill(measured: Measured, per_minute: float) -> dict[str, float]:
    """Return the lines of the first month at this rate, in dollars; what is stored grows all the while."""
    storyboards = per_minute * _MINUTES_A_MONTH
    memory = memory_gb()
    compute = sum(calls * measured.costs[name].total * memory[name] for name, calls in CALLS.items())
    messages = 3 * (FRAMES + 1)  # each sent, received and deleted
    return {
        "Lambda": storyboards
        * (compute * PRICES["lambda_gb_second"].dollars + sum(CALLS.values()) * PRICES["lambda_request"].dollars),
        "SQS": storyboards * messages * PRICES["sqs_request"].dollars,
        "storage": storyboards * measured.stored_bytes / _GIGABYTE / 2 * PRICES["storage_gb_month"].dollars,
        "egress": storyboards * VIEWS * measured.video_bytes / _GIGABYTE * PRICES["egress_gb"].dollars,
    }


def costs_table(costs: Mapping[str, Cost], memory: Mapping[str, float]) -> str:
    """Return what went into the simulation."""
    rows: list[tuple[str, ...]] = [("function", "times", "milliseconds", "of these in the database", "memory")]
    for name, calls in CALLS.items():
        cost = costs[name]
        rows.append(
            (
                name,
                str(calls),
                f"{cost.total * 1000:.0f}",
                f"{cost.database * 1000:.0f}",
                f"{memory[name] * 1024:.0f} MB",
            )
        )
    return columns(rows)


def outcomes_table(outcomes: Sequence[Outcome]) -> str:
    """Return how busy each pool was, and what people waited."""
    rows: list[tuple[str, ...]] = [
        ("storyboards a minute", "Lambda", "renderers", "mergers", "database", "most environments",
         "upload p95", "save p95", "video p50 / p95", "clips waiting at the end")
    ]  # fmt: skip
    for one in outcomes:
        busy = [f"{one.utilisation[name]:.0%}" for name in ("Lambda", "renderers", "mergers", "database")]
        video = f"{one.video_p50:.0f} / {one.video_p95:.0f} s" if one.finished else "none finished"
        rows.append(
            (f"{one.per_minute:,.0f}", *busy, f"{one.most_environments:,}", f"{one.upload_p95:.2f} s",
             f"{one.save_p95:.2f} s", video, f"{one.waiting:,}")
        )  # fmt: skip
    return columns(rows)


def steps_table(rates: Sequence[float], platform: Platform, measured: Measured) -> str:
    """Return where each rate saturates first, what it would take, and what a month costs then."""
    rows: list[tuple[str, ...]] = [
        ("storyboards a minute", "first limit", "asked of it", "next step", "places that are busy for 70 %", "a month",
         "of it Lambda, storage, egress")
    ]  # fmt: skip
    for rate in rates:
        name, share = first_limit(measured.costs, platform, rate)
        places = ", ".join(f"{pool} {ceil(busy / BUSY):,}" for pool, busy in offered(measured.costs, rate).items())
        bill = monthly_bill(measured, rate)
        split = ", ".join(f"${bill[line]:,.0f}" for line in ("Lambda", "storage", "egress"))
        rows.append(
            (f"{rate:,.0f}", name, f"{share:.0%}", NEXT[name] if share > BUSY else "none", places,
             f"${sum(bill.values()):,.0f}", split)
        )  # fmt: skip
    return columns(rows)
