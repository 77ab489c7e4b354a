"""Queue messages as the event that Lambda makes of a batch, and its reading of what the function answers.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import base64
import json
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageAttributeValueOutputTypeDef, MessageTypeDef

Event = dict[str, list[dict[str, Any]]]


def to_event(messages: "Iterable[MessageTypeDef]", arn: str) -> Event:
    """The event for messages of the queue with this ARN."""
    return {"Records": [_record(message, arn) for message in messages]}


def failed_messages(result: bytes, ids: Collection[str], *, partial: bool) -> set[str]:
    """The ids of those messages that a function has failed at, by its result as JSON; without `partial`, none.

    A result that is neither empty nor well-formed, or that names a message which is not in the batch, fails them all.
    """
    if not partial:
        return set()
    try:
        answer = json.loads(result)
        failures = answer.get("batchItemFailures") if answer else None
        failed = {failure["itemIdentifier"] for failure in failures or ()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return set(ids)
    return failed if failed <= set(ids) else set(ids)


def _record(message: "MessageTypeDef", arn: str) -> dict[str, Any]:
    attributes = message.get("MessageAttributes", {})
    record: dict[str, Any] = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {name: _attribute(value) for name, value in attributes.items()},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": arn.split(":")[3],
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _attribute(value: "MessageAttributeValueOutputTypeDef") -> Mapping[str, Any]:
    given: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        given["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        given["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return given
