"""What several operations have in common, written once below `components` and referred to."""

import json
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

Node = dict[str, Any]

_AT_LEAST: Final = 3  # operations that share a response
_GENERAL: Final = frozenset(
    {"304", "400", "401", "403", "415", "429", "500", "503"}
)  # say little of what was asked for


def hoisted(document: Node) -> Node:
    """Move the parameters and refusals that operations share to the components, each under one name."""
    document["components"] |= {
        "parameters": _hoist_parameters(document),
        "responses": _hoist_responses(document),
    }
    return document


def _hoist_parameters(document: Node) -> Node:
    most = _commonest(
        (one["name"], one) for operation in _operations(document) for one in operation.get("parameters", ())
    )
    found = {}
    for operation in _operations(document):
        for place, one in enumerate(operation.get("parameters", ())):
            if most.get(one["name"]) == one:
                name = "".join(word[:1].upper() + word[1:] for word in one["name"].split("-"))
                found[name] = one
                operation["parameters"][place] = {"$ref": f"#/components/parameters/{name}"}
    return dict(sorted(found.items()))


def _hoist_responses(document: Node) -> Node:
    refusals = [
        (status, response)
        for operation in _operations(document)
        for status, response in operation["responses"].items()
        if status in _GENERAL
    ]
    most = _commonest(iter(refusals), _AT_LEAST)
    found = {}
    for operation in _operations(document):
        for status, response in operation["responses"].items():
            if most.get(status) == response:
                name = HTTPStatus(int(status)).phrase.title().replace(" ", "").replace("-", "")
                found[name] = response
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
            elif "example" in response.get("content", {}).get("application/problem+json", {}):
                del response["content"]["application/problem+json"][
                    "example"
                ]  # the common ones show what it looks like
    return dict(sorted(found.items()))


def _commonest(named: Iterator[tuple[str, Node]], at_least: int = 2) -> dict[str, Node]:
    """Return by name what occurs most often under it, where that is often enough."""
    counts = Counter((name, json.dumps(node)) for name, node in named)
    found: dict[str, Node] = {}
    for (name, text), times in counts.most_common():
        if times >= at_least:
            found.setdefault(name, json.loads(text))
    return found


def _operations(document: Node) -> Iterator[Node]:
    for operations in document["paths"].values():
        yield from operations.values()
