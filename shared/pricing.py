"""What the work costs in US dollars: one table of prices, estimates by it, and what a day has cost."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for one unit; where and when that was read."""

    dollars: float
    unit: str
    source: str
    read: str


_LAMBDA: Final = "https://aws.amazon.com/lambda/pricing/"
_SQS: Final = "https://aws.amazon.com/sqs/pricing/"
_S3: Final = "https://aws.amazon.com/s3/pricing/"
_SUPABASE: Final = "https://supabase.com/pricing"
_COMPUTE: Final = "https://supabase.com/docs/guides/platform/compute-and-disk"

# Of us-east-1, and of Supabase's Pro plan beyond what it includes.
PRICES: Final = {
    "lambda_gb_second": Price(0.0000166667, "GB-second on x86", _LAMBDA, "2026-11"),
    "lambda_gb_second_arm": Price(0.0000133334, "GB-second on arm64", _LAMBDA, "2026-11"),
    "lambda_request": Price(0.20e-6, "request", _LAMBDA, "2026-11"),
    "sqs_request": Price(0.40e-6, "request to a standard queue", _SQS, "2026-11"),
    "s3_put": Price(5e-6, "PUT, POST or LIST request", _S3, "2026-11"),
    "s3_get": Price(0.4e-6, "GET request", _S3, "2026-11"),
    "s3_gb_month": Price(0.023, "GB kept for a month", _S3, "2026-11"),
    "storage_gb_month": Price(0.021, "GB kept for a month", _SUPABASE, "2026-11"),
    "egress_gb": Price(0.09, "GB sent", _SUPABASE, "2026-11"),
    "database_gb_month": Price(0.125, "GB of disk for a month", _SUPABASE, "2026-11"),
    "database_compute_month": Price(
        10.0, "month of the smallest compute add-on, which the plan's credits pay", _COMPUTE, "2026-11"
    ),
    "plan_month": Price(25.0, "month of the Pro plan", _SUPABASE, "2026-11"),
}

DAYS_A_MONTH: Final = 30
_GIGABYTE: Final = 1e9
# Lambda bills by the processor that it runs on.
_COMPUTE_PRICE: Final = PRICES[
    "lambda_gb_second_arm" if platform.machine() in ("aarch64", "arm64") else "lambda_gb_second"
].dollars

RENDER_MEMORY_MB: Final = 3008  # as in serverless.yml; 1769 are one vCPU
MERGE_MEMORY_MB: Final = 1769
PARALLEL_RENDERERS: Final = 50

_REQUESTS_PER_MESSAGE: Final = 3  # sent, received, deleted
# Measured on two cores with Storage beside them (`make day` holds estimates against costs): 4 s at 480p, 30 s at 720p.
_RENDER_SECONDS: Final = 0.13  # for any clip: fetch, begin, store
_RENDER_SECONDS_PER_MEGAPIXEL: Final = 0.0085  # of output
_MERGE_SECONDS: Final = 0.3  # for any video: poster and preview too
_MERGE_SECONDS_PER_MEGAPIXEL: Final = 0.0013


class Work(NamedTuple):
    """How long one worker takes, and what that costs."""

    seconds: float
    dollars: float


def worker_dollars(seconds: float, memory_mb: int) -> float:
    """Return what one message costs that a worker of this size was busy with for so long."""
    compute = seconds * memory_mb / 1024 * _COMPUTE_PRICE
    return compute + PRICES["lambda_request"].dollars + _REQUESTS_PER_MESSAGE * PRICES["sqs_request"].dollars


def rendering(frames: int, width: int, height: int) -> Work:
    """Estimate the rendering of one clip."""
    seconds = _RENDER_SECONDS + frames * width * height / 1e6 * _RENDER_SECONDS_PER_MEGAPIXEL
    return Work(seconds, worker_dollars(seconds, RENDER_MEMORY_MB))


def merging(frames: int, width: int, height: int) -> Work:
    """Estimate the merge of a whole video."""
    seconds = _MERGE_SECONDS + frames * width * height / 1e6 * _MERGE_SECONDS_PER_MEGAPIXEL
    return Work(seconds, worker_dollars(seconds, MERGE_MEMORY_MB))


def elapsing(clips: Sequence[Work], merge: Work) -> float:
    """Return how many seconds pass until all is done, with as many renderers at once as are deployed."""
    if not clips:
        return merge.seconds
    seconds = [clip.seconds for clip in clips]
    return max(*seconds, sum(seconds) / PARALLEL_RENDERERS) + merge.seconds


class DayCost(NamedTuple):
    """What one day has cost, in dollars."""

    functions: float
    workers: float
    storage: float
    egress: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self)


def day_cost(requests: int, gb_seconds: float, workers: float, stored_bytes: int, sent_bytes: int) -> DayCost:
    """Return what a day has cost: its requests, what its workers took in dollars, what is kept, and what was sent."""
    return DayCost(
        functions=requests * PRICES["lambda_request"].dollars + gb_seconds * _COMPUTE_PRICE,
        workers=workers,
        storage=stored_bytes / _GIGABYTE * PRICES["storage_gb_month"].dollars / DAYS_A_MONTH,
        egress=sent_bytes / _GIGABYTE * PRICES["egress_gb"].dollars,
    )
