"""A function's role allows what its code calls, and nothing else; and each call is allowed."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.template import ACCOUNT, Template
from infra.local.gateway.document import load
from infra.local.state import TOP
from infra.package.build import all_functions
from infra.package.closure import Closure, closure_of

pytestmark = pytest.mark.timeout(600)

BUCKET = f"arn:aws:s3:::videomaker-ingest-dev-{ACCOUNT}"
QUEUES = {"render": "RenderQueue", "merge": "MergeQueue", "webhook": "WebhookQueue"}
RECEIVES = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
ALWAYS = {
    ("logs:CreateLogGroup", "its log"),
    ("logs:CreateLogStream", "its log"),
    ("logs:PutLogEvents", "its log"),
    ("xray:PutTraceSegments", "*"),
    ("xray:PutTelemetryRecords", "*"),
}
# What a method of boto3's S3 client needs. Without s3:ListBucket a missing object would be forbidden, not missing.
S3_CALLS = {
    "get_object": {("s3:GetObject", f"{BUCKET}/uploads/*"), ("s3:ListBucket", BUCKET)},
    "delete_object": {("s3:DeleteObject", f"{BUCKET}/uploads/*")},
}
FUNCTIONS = all_functions()

Permission = tuple[str, str]


def needed(function: str) -> set[Permission]:
    """Return the actions that a function's modules call, each with the resource."""
    closure = closure_of(function, TOP)
    sources = _sources(function)
    found = {*ALWAYS, *((action, queue) for queue in sources for action in RECEIVES)}
    found |= {("sqs:SendMessage", QUEUES[name]) for name in _sent(closure)}
    if "shared.jobs.consume" in _uses(function):
        found |= {("sqs:ChangeMessageVisibility", queue) for queue in sources}
    if "shared.tickets.ticket" in _uses(function):
        found.add(("s3:PutObject", f"{BUCKET}/uploads/*"))
    for name in _s3_methods(closure):
        found |= S3_CALLS[name]
    return found


def granted(template: Template, function: str) -> set[Permission]:
    """Return the actions that a function's role allows, each with the resource."""
    [lambda_function] = [
        one["Properties"]
        for one in template.of_type("AWS::Lambda::Function").values()
        if one["Properties"]["FunctionName"].endswith(f"-{function}")
    ]
    role = template.resources[lambda_function["Role"]["Fn::GetAtt"][0]]["Properties"]
    assert not role.get("ManagedPolicyArns")
    statements = [one for policy in role["Policies"] for one in policy["PolicyDocument"]["Statement"]]
    assert {one["Effect"] for one in statements} == {"Allow"}
    return {
        (action, _named(resource, function))
        for one in statements
        for action in _list(one["Action"])
        for resource in _list(one["Resource"])
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_allows_what_the_code_calls_and_nothing_else(template: Template, function: str) -> None:
    allowed, called = granted(template, function), needed(function)
    assert called - allowed == set(), "called, and not allowed"
    assert allowed - called == set(), "allowed, and not called"


def test_each_function_has_a_role_of_its_own(template: Template) -> None:
    roles = [one["Properties"]["Role"]["Fn::GetAtt"][0] for one in template.of_type("AWS::Lambda::Function").values()]
    assert len(set(roles)) == len(roles)
    shared = template.resources["IamRoleLambdaExecution"]
    assert "IamRoleLambdaExecution" not in roles
    assert shared["Condition"] == "Never"
    assert template.document["Conditions"]["Never"] == {"Fn::Equals": [{"Ref": "AWS::Region"}, "none"]}


def test_roles_are_named_as_the_buckets_policy_expects(template: Template) -> None:
    for name, role in template.of_type("AWS::IAM::Role").items():
        parts = role["Properties"]["RoleName"]["Fn::Join"][1]
        assert parts[0] == "videomaker", name


def _sources(function: str) -> list[str]:
    events = load((TOP / "serverless.yml").read_text())["functions"][function].get("events", [])
    return [event["sqs"]["arn"]["Fn::GetAtt"][0] for event in events if "sqs" in event]


def _trees(closure: Closure) -> Iterator[ast.AST]:
    for path in closure.files:
        if path.suffix == ".py":
            yield from ast.walk(ast.parse((TOP / path).read_text(encoding="utf-8")))


def _uses(function: str) -> set[str]:
    """Return the names that the handler itself imports."""
    tree = ast.parse((TOP / "functions" / function / "handler.py").read_text(encoding="utf-8"))
    return {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _sent(closure: Closure) -> set[str]:
    """Return the queues that are named in a call of `send`."""
    calls = [node for node in _trees(closure) if isinstance(node, ast.Call) and _name(node) == "send" and node.args]
    named = [call.args[0] for call in calls]
    return {arg.value for arg in named if isinstance(arg, ast.Constant) and arg.value in QUEUES}


def _s3_methods(closure: Closure) -> set[str]:
    """Return the methods that are called of what `_s3()` returns."""
    return {
        node.func.attr
        for node in _trees(closure)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Call)
        and _name(node.func.value) == "_s3"
    }


def _name(call: ast.Call) -> str:
    return getattr(call.func, "id", None) or getattr(call.func, "attr", "")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _named(resource: Any, function: str) -> str:
    if isinstance(resource, str):
        return resource
    if "Fn::GetAtt" in resource:
        return str(resource["Fn::GetAtt"][0])
    assert Path(resource["Fn::Sub"].rpartition(":log-group:")[2].split(":")[0]).name == f"videomaker-dev-{function}"
    return "its log"
