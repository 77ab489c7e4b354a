"""CloudWatch's embedded metrics: figures in a log line, of which CloudWatch makes metrics by itself.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
Written here and not by AWS Lambda Powertools, whose import costs more than all else that observes; see the README.
"""

from collections.abc import Mapping
from typing import Final, Literal

NAMESPACE: Final = "Videomaker"

Metric = Literal[
    "Requests",
    "Errors",
    "Refused",
    "ColdStart",
    "Duration",
    "Auth",
    "Image",
    "Storage",
    "Db",
    "Queue",
    "BytesIn",
    "Messages",
    "FailedMessages",
    "WaitTime",
    "RenderTime",
    "MergeTime",
]

UNITS: Final[Mapping[Metric, str]] = {
    "Requests": "Count",
    "Errors": "Count",  # answers with a 5xx status, failed messages, and what was raised
    "Refused": "Count",  # answers with a 4xx status
    "ColdStart": "Count",
    "Duration": "Milliseconds",
    "Auth": "Milliseconds",  # the parts of it, as `Server-Timing` has them
    "Image": "Milliseconds",
    "Storage": "Milliseconds",
    "Db": "Milliseconds",
    "Queue": "Milliseconds",
    "BytesIn": "Bytes",
    "Messages": "Count",
    "FailedMessages": "Count",
    "WaitTime": "Seconds",  # of a message in its queue
    "RenderTime": "Seconds",
    "MergeTime": "Seconds",
}


def embedded(values: Mapping[Metric, float], function: str, stage: str | None, milliseconds: int) -> dict[str, object]:
    """Return what makes metrics of a log line: the values, the dimensions, and which is which.

    What did not happen is left out: CloudWatch charges for each metric by the hours that it is heard of.
    """
    dimensions = {"function": function} | ({"stage": stage} if stage else {})
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
    }
    figures: dict[str, object] = {str(name): value for name, value in values.items()}
    return {"_aws": {"Timestamp": milliseconds, "CloudWatchMetrics": [directive]}, **dimensions, **figures}
