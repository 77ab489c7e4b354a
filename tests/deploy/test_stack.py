"""The template deployed by CloudFormation's own interface, into moto, and read back.

What moto does not make from a template is left out here, and asserted on the template itself in `test_template`:
`LEFT_OUT` names each with its reason. Of what it makes it ignores tracing, a bucket's notifications and its block of
public access; they are asserted there, too.
"""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from infra.deploy.template import ACCOUNT, Template
from infra.local.gateway.configuration import Service
from infra.local.state import TOP

pytestmark = pytest.mark.timeout(600)

STACK = "videomaker-dev"
BUCKET = f"videomaker-ingest-dev-{ACCOUNT}"
FUNCTIONS = Service(TOP / "serverless.yml").functions
LEFT_OUT = {
    "AWS::Lambda::Url": "moto's CloudFormation knows no function URLs",
    "AWS::S3::BucketPolicy": "moto's CloudFormation knows no bucket policies",
    "AWS::Lambda::Alias": "moto fails at an alias, which SnapStart needs",
    "AWS::Lambda::Version": "is there for the alias only",
    "AWS::Lambda::Permission": "moto finds no function by an alias, which those of SnapStart name",
    "AWS::SQS::QueuePolicy": "moto's CloudFormation knows no queue policies",
    "AWS::CloudWatch::Alarm": "moto's CloudFormation knows no alarms; they are made one by one below",
    "AWS::SNS::TopicPolicy": "moto's CloudFormation knows no topic policies",
    "AWS::Budgets::Budget": "moto's CloudFormation knows no budgets",
}


class Account:
    """An AWS account that the template was deployed into."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self._endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


@pytest.fixture(scope="module")
def account(template: Template) -> Iterator[Account]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        account = Account(f"http://{host}:{port}")
        deploy(account, template)
        yield account
    finally:
        server.stop()


def deploy(account: Account, template: Template) -> None:
    """Do what osls does: make a bucket, put artifacts and template there, and let CloudFormation do the rest."""
    cloudformation, s3 = account.client("cloudformation"), account.client("s3")
    first = {"ServerlessDeploymentBucket": template.resources["ServerlessDeploymentBucket"]}
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps({"Resources": first}))
    made = cloudformation.describe_stack_resource(StackName=STACK, LogicalResourceId="ServerlessDeploymentBucket")
    bucket = made["StackResourceDetail"]["PhysicalResourceId"]
    for key in template.artifacts.values():
        s3.put_object(Bucket=bucket, Key=key, Body=b"PK\5\6" + bytes(18))
    s3.put_object(Bucket=bucket, Key="template.json", Body=json.dumps(known(template)))
    cloudformation.update_stack(
        StackName=STACK,
        TemplateURL=f"https://{bucket}.s3.amazonaws.com/template.json",
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )


def known(template: Template) -> dict[str, Any]:
    """Return the template without what moto does not know, and without references to it."""
    kept = {name: one for name, one in template.resources.items() if one["Type"] not in LEFT_OUT}
    document = {"Conditions": template.document["Conditions"], "Resources": kept}
    found: dict[str, Any] = json.loads(json.dumps(document), object_hook=_without_urls)
    for one in found["Resources"].values():
        if isinstance(one.get("DependsOn"), list):
            one["DependsOn"] = [name for name in one["DependsOn"] if name in kept]
        elif one.get("DependsOn") not in kept:
            one.pop("DependsOn", None)
    return found


def _without_urls(node: dict[str, Any]) -> Any:
    match node:
        case {"Fn::GetAtt": [_, "FunctionUrl"]}:
            return "https://example.lambda-url.us-east-1.on.aws/"
    return node


def test_the_stack_is_complete(account: Account, template: Template) -> None:
    cloudformation = account.client("cloudformation")
    [stack] = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    made = {
        one["LogicalResourceId"]
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK)
        for one in page["StackResourceSummaries"]
    }
    wanted = {
        name for name, one in template.resources.items() if one["Type"] not in LEFT_OUT and "Condition" not in one
    }
    assert made - {""} == wanted  # moto lists what a condition leaves out, without a name


def test_every_function_is_there_with_its_settings(account: Account) -> None:
    made = {one["FunctionName"]: one for one in account.client("lambda").list_functions(MaxItems=100)["Functions"]}
    assert made.keys() == {f"videomaker-dev-{name}" for name in FUNCTIONS}
    for name, function in FUNCTIONS.items():
        found = made[f"videomaker-dev-{name}"]
        assert (found["Runtime"], found["Handler"]) == ("python3.12", f"functions.{name}.handler.handler")
        assert (found["MemorySize"], found["Timeout"]) == (function.memory, function.timeout)
        assert found["Environment"]["Variables"]["INGEST_BUCKET"] == BUCKET
        assert f"videomaker-dev-{name}-us-east-1-lambdaRole" in found["Role"]


def test_every_queue_reaches_its_function(account: Account) -> None:
    made = account.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    found = {(one["FunctionArn"].rpartition(":")[2], one["EventSourceArn"].rpartition(":")[2]) for one in made}
    wanted = {
        (f"videomaker-dev-{name}", _deployed_name(source.queue))
        for name, function in FUNCTIONS.items()
        for source in function.sources
    }
    assert found == wanted


def _deployed_name(queue: str) -> str:
    base, dead, _ = queue.partition("-dead")
    return f"{base}-dev{dead}"


def test_queues_are_made_with_dead_letters(account: Account) -> None:
    sqs = account.client("sqs")
    attributes = {
        url.rpartition("/")[2]: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        for url in sqs.list_queues()["QueueUrls"]
    }
    for name, found in attributes.items():
        if not name.endswith("-dead"):
            redrive = json.loads(found["RedrivePolicy"])
            assert redrive["deadLetterTargetArn"] == f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}-dead"
            assert f"{name}-dead" in attributes


def test_the_ingest_bucket_takes_forms_and_forgets(template: Template) -> None:
    """Of the template: moto makes a bucket without its CORS and its lifecycle."""
    [bucket] = (one for one in template.of_type("AWS::S3::Bucket").values() if "CorsConfiguration" in one["Properties"])
    [rule] = bucket["Properties"]["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedMethods"] == ["POST"]
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert [one["ExpirationInDays"] for one in rules if "ExpirationInDays" in one] == [1]


def test_roles_are_made_with_their_own_statements(account: Account) -> None:
    iam = account.client("iam")
    names = {one["RoleName"] for one in iam.list_roles()["Roles"]}
    assert names == {f"videomaker-dev-{name}-us-east-1-lambdaRole" for name in FUNCTIONS}
    for name in names:
        [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
        statements = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        assert "xray:PutTraceSegments" in str(statements)


def test_maintenance_runs_every_hour_and_looks_for_lost_messages_every_five_minutes(account: Account) -> None:
    events = account.client("events")
    rules = events.list_rules()["Rules"]
    assert {(rule["ScheduleExpression"], rule["State"]) for rule in rules} == {
        ("rate(1 hour)", "ENABLED"),
        ("rate(5 minutes)", "ENABLED"),
    }
    for rule in rules:
        [target] = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        assert target["Arn"].endswith(":videomaker-dev-maintenance")


def test_logs_are_kept_for_a_month(account: Account) -> None:
    groups = account.client("logs").describe_log_groups()["logGroups"]
    assert {one["logGroupName"] for one in groups} >= {f"/aws/lambda/videomaker-dev-{name}" for name in FUNCTIONS}
    assert {one.get("retentionInDays") for one in groups} == {30}


def test_cloudwatch_takes_every_alarm(account: Account, template: Template) -> None:
    alarms = template.of_type("AWS::CloudWatch::Alarm").values()
    cloudwatch = account.client("cloudwatch")
    for one in alarms:
        cloudwatch.put_metric_alarm(**json.loads(json.dumps(one["Properties"]), object_hook=_as_text))
    made = cloudwatch.describe_alarms(MaxRecords=100)["MetricAlarms"]
    assert {one["AlarmName"] for one in made} == {one["Properties"]["AlarmName"] for one in alarms}


def _as_text(node: dict[str, Any]) -> Any:
    return next(iter(map(str, node.values()))) if node.keys() <= {"Ref", "Fn::GetAtt"} else node


def test_what_is_left_out_is_only_what_the_template_has(template: Template) -> None:
    assert LEFT_OUT.keys() <= {one["Type"] for one in template.resources.values()}
