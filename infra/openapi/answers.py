"""What the OpenAPI document says of an answer, and whether the answer is like that."""

import json
import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from infra.openapi.document import FILE

NAME = "urn:openapi"
NOT_OF_AN_OPERATION = {"not_found", "method_not_allowed"}


@cache
def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def difference(function: str, asked: tuple[str, str], status: int, content_type: str, body: bytes) -> str | None:
    """Return how the answer to a method and path differs from the document; None where nothing describes it, too."""
    responses = _responses(function, *asked)
    if responses is None or status == 405:
        return None
    if str(status) not in responses:
        return f"{status} is not described"
    media = content_type.partition(";")[0]
    if "json" not in media or not body:
        return None
    found = json.loads(body)
    if found.get("code") in NOT_OF_AN_OPERATION:
        return None
    if media not in responses[str(status)].get("content", {}):
        return f"{status} {media} is not described"
    validator = _validator(function, *asked, str(status), media)
    return next((f"{error.json_path}: {error.message}" for error in validator.iter_errors(found)), None)


def _responses(function: str, method: str, path: str) -> dict[str, Any] | None:
    rest = path.removeprefix(f"/api/{function}").rstrip("/")
    rest = re.sub(r"^/[^/]+", "/{token}", rest) if function == "watch" else rest
    operation = described()["paths"].get(f"/api/{function}{rest}", {}).get(method.lower())
    return {status: resolved(one) for status, one in operation["responses"].items()} if operation else None


@cache
def _validator(function: str, method: str, path: str, status: str, media: str) -> Draft202012Validator:
    responses = _responses(function, method, path)
    assert responses is not None
    return validator_of(responses[status]["content"][media]["schema"])


def validator_of(schema: dict[str, Any]) -> Draft202012Validator:
    """Return a validator of a schema that refers to the document's components."""
    resource = Resource.from_contents(described(), default_specification=DRAFT202012)
    absolute = json.loads(json.dumps(schema).replace('"#/components', f'"{NAME}#/components'))
    registry: Registry[Any] = Registry().with_resource(NAME, resource)
    return Draft202012Validator(absolute, registry=registry)


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Return a component, where a node only refers to it."""
    found: Any = described()
    if "$ref" not in node:
        return node
    for key in node["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return dict(found)
