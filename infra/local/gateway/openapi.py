"""One OpenAPI document for all functions, made where their code may be imported: in an environment."""

import importlib
import traceback
from collections.abc import Mapping
from typing import Any

from infra.local.gateway.configuration import Function

Document = dict[str, Any]

TIMEOUT = 60  # seconds; all functions are imported at once


def describing_function(functions: Mapping[str, Function]) -> Function:
    """The function that is invoked for the document; its event maps function names to modules."""
    folders = sorted({folder for function in functions.values() for folder in function.folders})
    return Function("openapi", f"{__name__}.handler", timeout=TIMEOUT, code=tuple(folders))


def handler(event: Mapping[str, str], _context: object) -> Document:
    """The merged document of the FastAPI apps in the modules that the event names.

    A function that cannot be imported or has no `app` is left out; the log says why.
    """
    documents: dict[str, Document] = {}
    for name, module in event.items():
        try:
            documents[name] = importlib.import_module(module).app.openapi()
        except Exception:
            traceback.print_exc()
    return merge(documents)


def merge(documents: Mapping[str, Document]) -> Document:
    """All documents in one: the path `/` of function `f` becomes `/api/f`.

    A schema that differs from another function's of the same name becomes `f.Name`.
    """
    paths: Document = {}
    components: dict[str, Document] = {"schemas": {}}
    for name, document in documents.items():
        own = document.get("components", {})
        renamed = _clashes(name, own.get("schemas", {}), components["schemas"])
        for section, entries in _renamed(own, renamed).items():
            target = components.setdefault(section, {})
            for key, entry in entries.items():
                target[renamed.get(key, key) if section == "schemas" else key] = entry
        for path, operations in _renamed(document.get("paths", {}), renamed).items():
            paths[_public_path(name, path)] = _tagged(name, operations)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Functions", "version": "local"},
        "paths": paths,
        "components": components,
    }


def _clashes(name: str, own: Document, merged: Document) -> dict[str, str]:
    """New names for the schemas that another function gave another meaning, directly or by reference."""
    renamed: dict[str, str] = {}
    while True:
        clashing = {
            key: f"{name}.{key}"
            for key, schema in own.items()
            if key in merged and merged[key] != _renamed(schema, renamed)
        }
        if clashing.keys() <= renamed.keys():
            return renamed
        renamed |= clashing


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _renamed(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value, names) for value in node]
    prefix, separator, name = node.rpartition("#/components/schemas/") if isinstance(node, str) else ("", "", "")
    return f"{prefix}{separator}{names.get(name, name)}" if separator else node


def _public_path(name: str, path: str) -> str:
    base = f"/api/{name}"
    return path if path == base or path.startswith(f"{base}/") else (base + path).rstrip("/")


def _tagged(name: str, operations: Document) -> Document:
    return {
        method: {
            **operation,
            "tags": [name],
            "operationId": f"{name}.{method}.{operation.get('operationId', '')}",
        }
        if isinstance(operation, dict)
        else operation
        for method, operation in operations.items()
    }
