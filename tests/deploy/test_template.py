"""The template that `serverless.yml` becomes: clean, and as the specification has it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.template import Template, package, placeholders
from infra.local.gateway.configuration import Service
from infra.local.state import TOP
from infra.package.build import all_functions

pytestmark = pytest.mark.timeout(600)

FUNCTIONS = Service(TOP / "serverless.yml").functions
WITH_URL = sorted(name for name, one in FUNCTIONS.items() if one.has_url)


def function(template: Template, name: str) -> dict[str, Any]:
    [found] = [
        one["Properties"]
        for one in template.of_type("AWS::Lambda::Function").values()
        if one["Properties"]["FunctionName"] == f"videomaker-dev-{name}"
    ]
    return dict(found)


def logical(template: Template, name: str) -> str:
    return next(
        key
        for key, one in template.of_type("AWS::Lambda::Function").items()
        if one["Properties"]["FunctionName"] == f"videomaker-dev-{name}"
    )


def mappings(template: Template, name: str) -> list[dict[str, Any]]:
    target = logical(template, name)
    found = template.of_type("AWS::Lambda::EventSourceMapping").values()
    return [one["Properties"] for one in found if target in json.dumps(one["Properties"]["FunctionName"])]


def test_cfn_lint_finds_nothing(template: Template, tmp_path: Path) -> None:
    file = tmp_path / "template.json"
    file.write_text(json.dumps(template.document))
    # W3005: osls names dependencies that CloudFormation would find by itself.
    command: list[str | Path] = [
        Path(sys.executable).with_name("cfn-lint"),
        "--ignore-checks",
        "W3005",
        "--",
        str(file),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.stdout, run.returncode) == ("", 0)


def test_every_function_is_deployed_with_an_artifact_of_its_own(template: Template) -> None:
    assert sorted(template.artifacts) == all_functions() == sorted(FUNCTIONS)
    for name in FUNCTIONS:
        found = function(template, name)
        assert found["Handler"] == f"functions.{name}.handler.handler"
        assert found["Code"]["S3Key"].endswith(f"/{name}.zip")
        assert (found["Runtime"], found["Architectures"]) == ("python3.12", ["x86_64"])


def test_each_function_is_traced_and_its_log_is_kept_for_a_month(template: Template) -> None:
    logs = {
        one["Properties"]["LogGroupName"]: one["Properties"] for one in template.of_type("AWS::Logs::LogGroup").values()
    }
    for name in FUNCTIONS:
        assert function(template, name)["TracingConfig"] == {"Mode": "Active"}
        assert logs[f"/aws/lambda/videomaker-dev-{name}"]["RetentionInDays"] == 30


@pytest.mark.parametrize("name", WITH_URL)
def test_a_function_url_is_open_to_browsers_and_may_be_called(template: Template, name: str) -> None:
    target = logical(template, name)
    url = template.resources[f"{target}Url"]["Properties"]
    assert url["AuthType"] == "NONE"
    if FUNCTIONS[name].cors:
        assert url["Cors"]["AllowOrigins"] == ["*"]
        assert "Authorization" in url["Cors"]["AllowHeaders"]
        assert "AllowCredentials" not in url["Cors"]
    allowed = [
        one["Properties"]
        for one in template.of_type("AWS::Lambda::Permission").values()
        if target in json.dumps(one["Properties"]["FunctionName"]) and one["Properties"]["Principal"] == "*"
    ]
    assert {one["Action"] for one in allowed} == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    for one in allowed:
        assert one.get("FunctionUrlAuthType") == "NONE" or one.get("InvokedViaFunctionUrl") is True


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - set(WITH_URL)))
def test_a_function_without_a_url_can_be_called_by_its_sources_only(template: Template, name: str) -> None:
    target = logical(template, name)
    assert f"{target}Url" not in template.resources
    allowed = [
        one["Properties"]["Principal"]
        for one in template.of_type("AWS::Lambda::Permission").values()
        if target in json.dumps(one["Properties"]["FunctionName"])
    ]
    assert "*" not in allowed


@pytest.mark.parametrize("name", sorted(name for name, one in FUNCTIONS.items() if one.sources))
def test_queues_are_read_with_partial_failures_and_patience(template: Template, name: str) -> None:
    found = mappings(template, name)
    assert len(found) == len(FUNCTIONS[name].sources)
    for mapping in found:
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        queue = template.resources[mapping["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
        assert queue["VisibilityTimeout"] >= 6 * FUNCTIONS[name].timeout


def test_every_queue_that_functions_read_has_dead_letters_or_is_one(template: Template) -> None:
    queues = {name: one["Properties"] for name, one in template.of_type("AWS::SQS::Queue").items()}
    for name, queue in queues.items():
        if queue["QueueName"].endswith("-dead"):
            assert queue["MessageRetentionPeriod"] == 1_209_600
        else:
            dead = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
            assert queues[dead]["QueueName"] == f"{queue['QueueName']}-dead", name


def test_snapstart_reaches_the_url(template: Template) -> None:
    started = [name for name in FUNCTIONS if "SnapStart" in function(template, name)]
    assert "get_frames" in started
    for name in started:
        target = logical(template, name)
        assert function(template, name)["SnapStart"] == {"ApplyOn": "PublishedVersions"}
        assert function(template, name).get("EphemeralStorage", {"Size": 512})["Size"] == 512
        assert "snapstart" in json.dumps(template.resources[f"{target}Url"]["Properties"]["TargetFunctionArn"])
    versions = template.of_type("AWS::Lambda::Version")
    assert len(versions) == len(started)


def test_only_functions_that_no_caller_stands_behind_hold_the_service_key(template: Template) -> None:
    holders = {
        name for name in FUNCTIONS if "SUPABASE_SERVICE_KEY" in function(template, name)["Environment"]["Variables"]
    }
    callers = {
        path.parent.name for path in (TOP / "functions").glob("*/handler.py") if "as_service" in path.read_text()
    }
    assert holders == callers


def test_the_bucket_is_closed_and_tells_the_queue(template: Template) -> None:
    bucket = template.resources["IngestBucket"]["Properties"]
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    [told] = bucket["NotificationConfiguration"]["QueueConfigurations"]
    assert told["Queue"] == {"Fn::GetAtt": ["IngestQueue", "Arn"]}
    policy = template.resources["IngestBucketPolicy"]["Properties"]["PolicyDocument"]
    roles = policy["Statement"][1]["Condition"]["ArnNotLike"]["aws:PrincipalArn"]
    assert roles == "arn:aws:iam::*:role/videomaker-*"


def test_a_stage_has_names_of_its_own(template: Template, tmp_path: Path) -> None:
    other = package(tmp_path, stage="prod")

    def names(one: Template) -> set[str]:
        text = json.dumps(one.document)
        return {word for word in text.replace('"', " ").split() if word.startswith("videomaker-")}

    assert not {name for name in names(template) & names(other) if name not in {"videomaker-"}}


def test_secrets_come_from_the_environment_or_from_ssm() -> None:
    text = (TOP / "serverless.yml").read_text()
    wanted = placeholders(text)
    assert {"SUPABASE_SERVICE_KEY", "SUPABASE_JWT_SECRET", "GUEST_SECRET", "STORAGE_WEBHOOK_SECRET"} <= wanted.keys()
    for name in wanted.keys() - {"AWS_ACCOUNT_ID"}:
        parameter = name.lower().replace("_", "-")
        source = f"${{env:{name}, ssm:/videomaker/${{sls:stage}}/{parameter}"
        assert f"{source}}}" in text or f"{source}, ''}}" in text


def test_a_deployment_takes_its_settings_from_the_environment_and_lets_no_guests_in_by_itself(
    template: Template, tmp_path: Path
) -> None:
    def settings(one: Template) -> dict[str, Any]:
        variables: dict[str, Any] = function(one, "share")["Environment"]["Variables"]
        return {name: variables[name] for name in ("GUEST_ACCESS", "BUCKET_ACCESS", "RENDER_QUEUE_URL", "WATCH_URL")}

    own = {"Fn::GetAtt": ["WatchLambdaFunctionUrl", "FunctionUrl"]}
    queue = {"Ref": "RenderQueue"}
    assert settings(template) == {
        "GUEST_ACCESS": "off",
        "BUCKET_ACCESS": "public",
        "RENDER_QUEUE_URL": queue,
        "WATCH_URL": own,
    }
    chosen = {"GUEST_ACCESS": "on", "BUCKET_ACCESS": "private", "WATCH_URL": "https://app.example/watch"}
    assert settings(package(tmp_path, **chosen)) == {**chosen, "RENDER_QUEUE_URL": queue}


def test_the_other_architecture_is_chosen_by_the_environment(tmp_path: Path) -> None:
    found = package(tmp_path, ARCH="arm64").of_type("AWS::Lambda::Function").values()
    assert {tuple(one["Properties"]["Architectures"]) for one in found} == {("arm64",)}
