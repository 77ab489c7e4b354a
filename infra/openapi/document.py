"""The OpenAPI document of all HTTP functions, made from their apps, their routes' code and the SQL behind it."""

import importlib
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from infra.local.gateway.configuration import Service
from infra.local.gateway.openapi import merge
from infra.local.state import TOP
from infra.openapi import parts, schemas
from infra.openapi.codes import answers_with_etag, codes_of, refuses_guests, refuses_keys
from infra.openapi.hoisting import hoisted
from shared.errors import AppError
from shared.problems import PROBLEMS

Node = dict[str, Any]

FILE: Final = TOP / "infra" / "openapi.json"
EXAMPLES: Final[Node] = json.loads(Path(__file__).with_name("examples.json").read_text())

LINE: Final = 120

_MODULE: Final = "functions.{}.handler"
_EVERYWHERE: Final = frozenset({"internal_error", "not_configured"})
_OF_BODIES: Final = frozenset({"invalid_json", "unsupported_media_type", "validation_failed"})
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"


def text() -> str:
    """Return the document as the file holds it."""
    return _pretty(document()) + "\n"


def _pretty(node: Any, indent: str = "", before: int = 0) -> str:
    """Return JSON in which what fits into a line stands in one."""
    line = json.dumps(node, ensure_ascii=False)
    if len(indent) + before + len(line) <= LINE or not isinstance(node, dict | list) or not node:
        return line
    inner = indent + "  "
    if isinstance(node, list):
        return "[\n" + ",\n".join(inner + _pretty(one, inner) for one in node) + f"\n{indent}]"
    named = ((json.dumps(key, ensure_ascii=False) + ": ", value) for key, value in node.items())
    return "{\n" + ",\n".join(inner + key + _pretty(one, inner, len(key)) for key, one in named) + f"\n{indent}}}"


def document() -> Node:
    """Return the whole document, in the order of `serverless.yml`."""
    functions = Service(TOP / "serverless.yml").url_functions
    apps = {name: importlib.import_module(_MODULE.format(name)).app for name in functions}
    merged = merge({name: app.openapi() for name, app in apps.items()})
    for path, operations in merged["paths"].items():
        for method, operation in operations.items():
            operations[method] = _operation(path.split("/")[2], method, operation)
    components = merged["components"]
    components["schemas"]["ProblemDetails"]["properties"]["code"] = {"$ref": "#/components/schemas/ProblemCode"}
    components["schemas"]["ProblemCode"] = {
        "type": "string",
        "description": "What went wrong, as `code` of a problem says it.",
        "enum": list(PROBLEMS),
    }
    whole = {
        "openapi": "3.1.0",
        "info": parts.INFO,
        "servers": parts.SERVERS,
        "security": [],
        "tags": [{"name": name, "description": app.summary} for name, app in apps.items()],
        "paths": merged["paths"],
        "components": {"securitySchemes": parts.SECURITY_SCHEMES, "headers": parts.HEADERS} | components,
    }
    return hoisted(schemas.tidied(whole))


def _operation(function: str, method: str, given: Node) -> Node:
    module, route = _MODULE.format(function), given["operationId"].rpartition(".")[2]
    takes_credentials = any(one["name"] == "authorization" for one in given.get("parameters", ()))
    has_json = _JSON in given.get("requestBody", {}).get("content", {})
    parameters = [_parameter(one) for one in given.get("parameters", ()) if one["name"] not in parts.CREDENTIALS]
    codes = codes_of(module, route) | _EVERYWHERE | (_OF_BODIES if has_json else frozenset())
    if any(one["in"] != "path" for one in parameters):
        codes |= {"validation_failed"}
    if method == "get":  # `admit` looks at the storage before an upload only
        codes -= {"quota_exceeded"}
    conditional = any(one["name"] == "If-None-Match" for one in parameters)
    has_etag = answers_with_etag(module, route)
    found = {
        "operationId": _operation_id(function, route),
        "tags": [function],
        "summary": given["summary"],
        "description": given["description"],
        "security": _security(function, module, route) if takes_credentials else parts.OTHER_SECURITY.get(function, []),
        "parameters": parameters,
        "requestBody": given.get("requestBody"),
        "responses": _responses(given["responses"], codes, has_etag=has_etag, conditional=conditional),
    }
    _add_examples(found)
    return {name: value for name, value in found.items() if value or name == "security"}


def _operation_id(function: str, route: str) -> str:
    """Return a name that says what it does and of what: `getFrames`, `listMembers`, `webhooksRead`."""
    words = route.split("_") if "_" in route else [*function.split("_"), route]
    words = function.split("_") if route == function else words
    return words[0] + "".join(word.capitalize() for word in words[1:])


def _security(function: str, module: str, route: str) -> list[Node]:
    found: list[Node] = [{"accessToken": []}]
    if not refuses_keys(module, route):
        found.append({"apiKey": []})
    if not refuses_guests(module, route) and function not in parts.NOT_FOR_GUESTS:
        found.append({})
    return found


def _parameter(given: Node) -> Node:
    name = given["name"]
    if given["in"] != "header":
        return {**given, "schema": schemas.not_null(given["schema"])}
    canonical = "-".join(word.capitalize() for word in name.split("-"))
    return {
        "name": canonical,
        "in": "header",
        "required": False,
        "description": parts.HEADER_PARAMETERS[canonical],
        "schema": schemas.not_null(given["schema"]),
    }


def _responses(given: Node, codes: frozenset[str], *, has_etag: bool, conditional: bool) -> Node:
    found: Node = {}
    for status, response in sorted(given.items()):
        if status != "default":
            names = [*parts.ALWAYS_SENT, *(["ETag"] if has_etag and status < "300" else [])]
            found[status] = {
                **response,
                "description": response["description"].replace("Successful Response", HTTPStatus(int(status)).phrase),
                "headers": {name: _ref("headers", name) for name in names},
            }
    if conditional:
        found["304"] = {"description": "What `If-None-Match` names is still so", "headers": found["200"]["headers"]}
    for refused in {PROBLEMS[code].status for code in codes}:
        refusal = _refusal(refused, sorted(code for code in codes if PROBLEMS[code].status == refused))
        page = found.get(str(refused), {})
        found[str(refused)] = {**refusal, **page, "content": page.get("content", {}) | refusal["content"]}
    return dict(sorted(found.items()))


def _refusal(status: int, codes: list[str]) -> Node:
    """Return the response of one status, which tells its codes apart; its example is the first of them."""
    narrowed = {"type": "object", "properties": {"code": {"type": "string", "enum": codes}}, "required": ["code"]}
    names = list(parts.ALWAYS_SENT)
    if any(AppError(code).retry_after is not None for code in codes) or status in (403, 429):
        names.append("Retry-After")
    if status == HTTPStatus.UNAUTHORIZED:
        names.append("WWW-Authenticate")
    return {
        "description": ", ".join(f"`{code}`" for code in codes),
        "headers": {name: _ref("headers", name) for name in names},
        "content": {
            _PROBLEM: {
                "schema": {"allOf": [_ref("schemas", "ProblemDetails"), narrowed]},
                "example": AppError(codes[0]).to_problem("cb0cfc27-cd08-4448-8207-3233156fbaa4"),
            }
        },
    }


def _add_examples(operation: Node) -> None:
    given = EXAMPLES.get(operation["operationId"])
    if given is None:
        return
    if "request" in given:
        operation["requestBody"]["content"][_JSON]["example"] = given["request"]
    for status, body in given.get("responses", {}).items():
        operation["responses"][status]["content"][_JSON]["example"] = body


def _ref(section: str, name: str) -> Node:
    return {"$ref": f"#/components/{section}/{name}"}
