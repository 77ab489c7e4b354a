"""The queues that `serverless.yml` deploys, and those that its functions are invoked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.local.gateway.document import local_name

DEFAULT_BATCH_SIZE = 10
DEFAULT_CONCURRENCY = 2  # the lowest that AWS takes


@dataclass(frozen=True)
class Queue:
    """A queue under its name here; after `max_receive_count` tries messages go to the queue `dead_letters`."""

    name: str
    visibility_seconds: int = 30
    dead_letters: str | None = None
    max_receive_count: int = 0


@dataclass(frozen=True)
class EventSource:
    """A queue whose messages a function is invoked for, `concurrency` batches at a time.

    `partial_failures` is whether the function says which messages of a batch have failed.
    """

    queue: str
    batch_size: int = DEFAULT_BATCH_SIZE
    concurrency: int = DEFAULT_CONCURRENCY
    partial_failures: bool = False


def deployed_queues(document: Mapping[str, Any]) -> list[Queue]:
    """The queues among the resources of a resolved document."""
    return [
        _queue(name, resource.get("Properties") or {}, document)
        for name, resource in _resources(document).items()
        if resource["Type"] == "AWS::SQS::Queue"
    ]


def event_sources(events: Iterable[Any], document: Mapping[str, Any]) -> tuple[EventSource, ...]:
    """The queues among the `events` of a function. Raises ValueError where one cannot be told."""
    return tuple(
        _event_source(event["sqs"], document) for event in events if isinstance(event, dict) and "sqs" in event
    )


def queue_name(arn: object, document: Mapping[str, Any]) -> str:
    """The name here of a queue that is given as a string or `Fn::GetAtt`. Raises ValueError where it is neither."""
    match arn:
        case str():
            return local_name(arn.rpartition(":")[2])
        case {"Fn::GetAtt": [str(name), "Arn"]} if name in _resources(document):
            properties = _resources(document)[name].get("Properties") or {}
            return local_name(properties.get("QueueName", name))
    raise ValueError(f"serverless.yml: {arn} names no queue of its resources")


def _event_source(settings: Any, document: Mapping[str, Any]) -> EventSource:
    given: Mapping[str, Any] = settings if isinstance(settings, dict) and "arn" in settings else {"arn": settings}
    return EventSource(
        queue=queue_name(given["arn"], document),
        batch_size=given.get("batchSize", DEFAULT_BATCH_SIZE),
        concurrency=given.get("maximumConcurrency", DEFAULT_CONCURRENCY),
        partial_failures=given.get("functionResponseType") == "ReportBatchItemFailures",
    )


def _queue(name: str, properties: Mapping[str, Any], document: Mapping[str, Any]) -> Queue:
    redrive = properties.get("RedrivePolicy") or {}
    return Queue(
        name=local_name(properties.get("QueueName", name)),
        visibility_seconds=properties.get("VisibilityTimeout", Queue.visibility_seconds),
        dead_letters=queue_name(redrive["deadLetterTargetArn"], document) if redrive else None,
        max_receive_count=redrive.get("maxReceiveCount", 0),
    )


def _resources(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return (document.get("resources") or {}).get("Resources") or {}
