"""Schemas as a reader and a generator want them: plain names, no titles that repeat a name, nulls as a type."""

import re
from collections.abc import Mapping
from typing import Any, Final

Node = dict[str, Any]

_REFERENCE: Final = "#/components/schemas/"
_NULL: Final = {"type": "null"}
_AS_IT_IS: Final = frozenset({"example", "examples", "default", "enum", "const"})


def tidied(document: Node) -> Node:
    """Return the document with its schemas named and written plainly, in the order of their names."""
    schemas = document["components"]["schemas"]
    names = {name: _plain_name(name) for name in schemas}
    renamed = {names[name]: schema for name, schema in sorted(schemas.items(), key=lambda one: names[one[0]])}
    if len(renamed) != len(schemas):
        raise ValueError("two schemas have one name")
    components = {**document["components"], "schemas": renamed}
    tidy: Node = _tidied({**document, "components": components}, names)
    return tidy


def not_null(schema: Node) -> Node:
    """Return the schema of a parameter, which is left out where pydantic would have null."""
    branches = [one for one in schema.get("anyOf", ()) if one != _NULL]
    if not branches:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**branches[0], **rest} if len(branches) == 1 else {**rest, "anyOf": branches}


def _plain_name(name: str) -> str:
    """Return `WebhooksDeleted` for `webhooks.Deleted`, `TemplateVideoInput` for `TemplateVideo-Input`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[._-]", name.removesuffix("-Output")))


def _tidied(node: Any, names: Mapping[str, str], *, is_schema: bool = True) -> Any:
    if isinstance(node, list):
        return [_tidied(one, names) for one in node]
    if not isinstance(node, dict):
        return node
    found = {
        key: value
        if key in _AS_IT_IS and is_schema
        else _tidied(value, names, is_schema=not (is_schema and key == "properties"))
        for key, value in node.items()
        if not (is_schema and key == "title" and isinstance(value, str) and "version" not in node)
    }
    if isinstance(reference := found.get("$ref"), str) and reference.startswith(_REFERENCE):
        name = reference.removeprefix(_REFERENCE)
        found["$ref"] = _REFERENCE + names.get(name, name)
    return _with_null_as_type(found) if is_schema else found


def _with_null_as_type(schema: Node) -> Node:
    """Return `{"type": ["string", "null"], …}` for `{"anyOf": [{"type": "string", …}, {"type": "null"}]}`."""
    branches = schema.get("anyOf", [])
    if len(branches) != 2 or branches[1] != _NULL or not isinstance(branches[0].get("type"), str):
        return schema
    one = branches[0]
    if "const" in one:
        one = {key: value for key, value in one.items() if key != "const"} | {"enum": [one["const"]]}
    if "enum" in one:
        one = {**one, "enum": [*one["enum"], None]}
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**one, "type": [one["type"], "null"], **rest}
