"""`serverless.yml` as plain values: its references to itself and to files are resolved, all other variables stay."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

_REFERENCE = re.compile(r"\$\{self:([\w.\-]+)(?:,\s*(?:'([^']*)'|\"([^\"]*)\"|([\w.\-]+)))?\}")
_FILE = re.compile(r"\$\{file\(([\w./\-]+\.json)\)\}")
_VARIABLE = re.compile(r"[-_/]?\$\{[^}]*\}")


def load(text: str, folder: Path | None = None) -> dict[str, Any]:
    """The document, with CloudFormation's short forms written out (`!GetAtt A.Arn` as `{"Fn::GetAtt": ["A", "Arn"]}`).

    JSON files, named from `folder`, take the place of `${file(…)}`. Raises ValueError for a reference in a circle.
    """
    document = yaml.load(text, _Loader) or {}  # noqa: S506 - derives from SafeLoader
    resolved: dict[str, Any] = _resolve(document, document, folder)
    if isinstance(parts := resolved.get("resources"), list):
        resolved["resources"] = _merged(parts)
    return resolved


def _merged(parts: list[Any]) -> dict[str, Any]:
    """Resources that are given in parts, without those that a program makes when it is deployed."""
    merged: dict[str, Any] = {}
    for part in parts:
        for section, entries in part.items() if isinstance(part, dict) else ():
            merged[section] = {**merged.get(section, {}), **entries}
    return merged


def local_name(name: str) -> str:
    """The name of a resource here, where there is one deployment: what variables would add to it is left out."""
    return _VARIABLE.sub("", name)


def _resolve(node: Any, document: Any, folder: Path | None, depth: int = 0) -> Any:
    if depth > 50:
        raise ValueError("serverless.yml: a ${self:…} reference leads back to itself")
    if isinstance(node, dict):
        return {key: _resolve(value, document, folder, depth + 1) for key, value in node.items()}
    if isinstance(node, list):
        return [_resolve(value, document, folder, depth + 1) for value in node]
    if not isinstance(node, str):
        return node
    if folder and (file := _FILE.fullmatch(node)):
        return _resolve(json.loads((folder / file[1]).read_text()), document, folder, depth + 1)
    if whole := _REFERENCE.fullmatch(node):
        target = _look_up(whole, document)
        return target if target == node else _resolve(target, document, folder, depth + 1)
    return _REFERENCE.sub(lambda match: str(_resolve(_look_up(match, document), document, folder, depth + 1)), node)


def _look_up(reference: re.Match[str], document: Any) -> Any:
    """The value referred to, else the reference's default, else the reference itself."""
    value = document
    for key in reference[1].split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if value is not None:
        return value
    return next((default for default in reference.groups()[1:] if default is not None), reference[0])


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms (`!Ref`, `!GetAtt`, `!Sub`) as their long ones."""


def _long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    match node:
        case yaml.MappingNode():
            value = loader.construct_mapping(node, deep=True)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            value = node.value
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)

# The framework reads YAML 1.2, where only these are booleans; to PyYAML `off` and `on` are, too.
_BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))
