"""A function's role allows what its code calls, and nothing else; and each call is allowed."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.template import ACCOUNT, Template
from infra.local.gateway.document import load
from infra.local.state import TOP
from infra.package.build import all_functions

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
    sources = _sources(function)
    found = {*ALWAYS, *((action, queue) for queue in sources for action in RECEIVES)}
    found |= {("sqs:SendMessage", QUEUES[name]) for name in _sent(function)}
    calls = {_name(call) for call in _calls(function)}
    if "ChangeMessageVisibility" in {
        str(arg.value) for call in _calls(function) for arg in call.args[:1] if isinstance(arg, ast.Constant)
    }:
        found |= {("sqs:ChangeMessageVisibility", queue) for queue in sources}
    if "_presigned_post" in calls:
        found.add(("s3:PutObject", f"{BUCKET}/uploads/*"))
    for name in _s3_methods(function):
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


@cache
def _reached(function: str) -> list[ast.AST]:
    """Return the nodes of all definitions that the handler's module leads to, by the names that they use."""
    waiting: list[tuple[str, str | None]] = [(f"functions.{function}.handler", None)]
    seen: set[tuple[str, str | None]] = set()
    found: list[ast.AST] = []
    while waiting:
        place = waiting.pop()
        module, name = place
        tree = _tree(module)
        if place in seen or tree is None:
            continue
        seen.add(place)
        imported = _imported(tree)
        for definition in [one for one in tree.body if name is None or name in _defined(one)]:
            nodes = list(ast.walk(definition))
            found += nodes
            waiting += [(module, node.id) for node in nodes if isinstance(node, ast.Name)]
            waiting += [imported[node.id] for node in nodes if isinstance(node, ast.Name) and node.id in imported]
            waiting += [
                (".".join(str(part) for part in imported[node.value.id]), node.attr)
                for node in nodes
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported
            ]
    return found


@cache
def _tree(module: str) -> ast.Module | None:
    base = TOP.joinpath(*module.split("."))
    path = next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)
    return ast.parse(path.read_text(encoding="utf-8")) if path else None


def _defined(node: ast.stmt) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import() | ast.ImportFrom():
            return set()
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}


def _imported(tree: ast.Module) -> dict[str, tuple[str, str | None]]:
    """Return what the names that are imported from the project stand for: module and name."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in ("shared", "functions")
        for alias in node.names
    }


def _calls(function: str) -> list[ast.Call]:
    return [node for node in _reached(function) if isinstance(node, ast.Call)]


def _sent(function: str) -> set[str]:
    """Return the queues that are named in a call of `send`."""
    named = [call.args[0] for call in _calls(function) if _name(call) == "send" and call.args]
    return {str(arg.value) for arg in named if isinstance(arg, ast.Constant) and arg.value in QUEUES}


def _s3_methods(function: str) -> set[str]:
    """Return the methods that are called of what `_s3()` returns."""
    return {
        call.func.attr
        for call in _calls(function)
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Call)
        and _name(call.func.value) == "_s3"
    }


def _name(call: ast.Call) -> str:
    return str(getattr(call.func, "id", None) or getattr(call.func, "attr", ""))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _named(resource: Any, function: str) -> str:
    if isinstance(resource, str):
        return resource
    if "Fn::GetAtt" in resource:
        return str(resource["Fn::GetAtt"][0])
    assert Path(resource["Fn::Sub"].rpartition(":log-group:")[2].split(":")[0]).name == f"videomaker-dev-{function}"
    return "its log"
