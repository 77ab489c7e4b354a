"""The bucket and the queues that `serverless.yml` deploys, made here."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3

from infra.local.gateway.queues import Queue, deployed_queues, queue_name

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CORSRuleTypeDef
    from mypy_boto3_sqs.literals import QueueAttributeNameType

# Names in CloudFormation, and in S3's own interface.
_CORS_NAMES = {"ExposedHeaders": "ExposeHeaders", "MaxAge": "MaxAgeSeconds", "Id": "ID"}


def create(document: Mapping[str, Any], bucket: str) -> None:
    """Makes every queue of the resolved `serverless.yml`, and the bucket, which tells the queues of its new objects."""
    arns = _create_queues(deployed_queues(document))
    _create_bucket(bucket, _bucket_properties(document), arns, document)


def _create_queues(queues: list[Queue]) -> dict[str, str]:
    """The ARN of each queue, by its name."""
    sqs = boto3.client("sqs")
    urls = {queue.name: sqs.create_queue(QueueName=queue.name)["QueueUrl"] for queue in queues}
    arns = {
        name: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for name, url in urls.items()
    }
    for queue in queues:
        attributes: dict[QueueAttributeNameType, str] = {"VisibilityTimeout": str(queue.visibility_seconds)}
        if queue.dead_letters:
            redrive = {"deadLetterTargetArn": arns[queue.dead_letters], "maxReceiveCount": queue.max_receive_count}
            attributes["RedrivePolicy"] = json.dumps(redrive)
        sqs.set_queue_attributes(QueueUrl=urls[queue.name], Attributes=attributes)
    return arns


def _bucket_properties(document: Mapping[str, Any]) -> Mapping[str, Any]:
    resources = (document.get("resources") or {}).get("Resources") or {}
    buckets = [resource for resource in resources.values() if resource["Type"] == "AWS::S3::Bucket"]
    return buckets[0].get("Properties") or {} if buckets else {}


def _create_bucket(
    name: str, properties: Mapping[str, Any], arns: Mapping[str, str], document: Mapping[str, Any]
) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=name)
    if rules := (properties.get("CorsConfiguration") or {}).get("CorsRules"):
        s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [_cors_rule(rule) for rule in rules]})
    notified = (properties.get("NotificationConfiguration") or {}).get("QueueConfigurations") or []
    if notified:
        queues = [{"QueueArn": arns[queue_name(one["Queue"], document)], "Events": [one["Event"]]} for one in notified]
        s3.put_bucket_notification_configuration(
            Bucket=name,
            NotificationConfiguration={"QueueConfigurations": queues},  # type: ignore[typeddict-item]
        )


def _cors_rule(rule: Mapping[str, Any]) -> "CORSRuleTypeDef":
    return {_CORS_NAMES.get(name, name): value for name, value in rule.items()}  # type: ignore[return-value]
