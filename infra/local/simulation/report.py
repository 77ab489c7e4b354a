"""What the simulation found, as tables: where a deployment saturates first, what the next step is, and the bill."""

from collections.abc import Mapping, Sequence
from typing import Final

from infra.local.bench.figures import columns
from infra.local.gateway.configuration import Service
from infra.local.simulation.measured import Measured
from infra.local.simulation.model import FRAMES, READS, Cost, Outcome, Platform
from infra.local.state import TOP
from shared.pricing import PRICES

BUSY: Final = 0.7  # above which waits grow steeply
VIEWS: Final = 3  # of each video
CALLS: Final = {
    "upload_image": FRAMES,
    "save_frames": 1,
    "get_frames": READS,
    "generate_video": 1,
    "render_clip": FRAMES,
    "merge_clips": 1,
}
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


def places_needed(outcome: Outcome, platform: Platform) -> dict[str, int]:
    """Return how many places each pool needs to be busy for 70 % of the time."""
    now = {
        "Lambda": platform.environments,
        "renderers": platform.renderers,
        "mergers": platform.mergers,
        "database": platform.connections,
    }
    return {name: max(1, round(outcome.utilisation[name] * places / BUSY)) for name, places in now.items()}


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


def steps_table(outcomes: Sequence[Outcome], platform: Platform, measured: Measured) -> str:
    """Return where each rate saturates first, what it would take, and what a month costs then."""
    rows: list[tuple[str, ...]] = [
        (
            "storyboards a minute",
            "first limit",
            "next step",
            "needed for 70 %",
            "a month",
            "of it Lambda, storage, egress",
        )
    ]
    for one in outcomes:
        saturated = one.utilisation[one.bottleneck] > BUSY
        needed = ", ".join(f"{name} {count:,}" for name, count in places_needed(one, platform).items())
        bill = monthly_bill(measured, one.per_minute)
        split = ", ".join(f"${bill[name]:,.0f}" for name in ("Lambda", "storage", "egress"))
        rows.append(
            (f"{one.per_minute:,.0f}", one.bottleneck, NEXT[one.bottleneck] if saturated else "none", needed,
             f"${sum(bill.values()):,.0f}", split)
        )  # fmt: skip
    return columns(rows)
