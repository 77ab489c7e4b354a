"""The names that log lines are made of. What has none here is not written, so that nothing is logged by accident."""

from typing import Final

ALWAYS: Final = ("time", "level", "event", "requestId", "function")
"""In every line."""

FIELDS: Final = frozenset(
    {
        *ALWAYS,
        "traceId",  # of the trace that the request is part of, in X-Ray's form
        "invocationId",  # Lambda's own id, which its lines about time-outs and memory have
        # What failed: the type of an exception, where it was raised, and the code and status of its answer
        "error",
        "at",
        "code",
        "status",
        "statusCode",
        "service",
        "cause",
        # Messages
        "receiveCount",
        "attempt",
        "attempts",
        "count",
        "milliseconds",
        # What was worked on
        "clip",
        "frame",
        "deliveryId",
        "settled",
        "merge",
        "outcome",
        "state",
        "counts",
        # What upkeep did
        "step",
        "dryRun",
        "usage",
        "stuck",
        "guests",
        "ended",
        "run",
        "lostRenderings",
        "expiredUploads",
        "forgottenVisits",
        "forgottenCounts",
        "orphanedFiles",
        "webhookDeliveries",
    }
)
