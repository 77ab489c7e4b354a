"""Which problems an operation can answer with, read from the code of its route and from the SQL that it calls."""

import ast
import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from infra.local.state import TOP
from infra.openapi.reach import reached
from shared.problems import PROBLEMS

_FUNCTION: Final = re.compile(r"create or replace function ((?:public|private)\.\w+)\((.*?)\$\$(.*?)\$\$;", re.S)
_TRIGGER: Final = re.compile(r"create or replace trigger (.*?) on (\w+\.\w+).*?execute function (\w+\.\w+)", re.S)
_CALL: Final = re.compile(r"\b((?:public|private)\.\w+)\s*\(")
_WRITE: Final = re.compile(r"\b(insert) into (\w+\.\w+)|\b(update) (\w+\.\w+)|\b(delete) from (\w+\.\w+)")
_TEXT: Final = re.compile(r"'(\w+)'")
_BLOCK: Final = re.compile(r"\bbegin\b(?:(?!\bbegin\b).)*?exception when others.*?\bend;", re.S)
_COMMENT: Final = re.compile(r"--[^\n]*")


def codes_of(module: str, route: str) -> frozenset[str]:
    """Return the codes that a route's own code, and the database on its behalf, may refuse with."""
    nodes = reached(module, route)
    compared = {id(one) for node in nodes if isinstance(node, ast.Compare) for one in ast.walk(node)}
    texts = {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in compared
    }
    stands_on = {f"{service}_unavailable" for service in _first_arguments(nodes, "translated")}
    return frozenset((texts | stands_on | _raised_by_sql(_first_arguments(nodes, "rpc"))) & PROBLEMS.keys())


def refuses_guests(module: str, route: str) -> bool:
    """Tell whether a route's own code asks who is a guest, and wants a signed-in user then."""
    own = [node for node in reached(module, route) if isinstance(node, ast.If)]
    return any(
        isinstance(node.test, ast.Attribute)
        and node.test.attr == "is_guest"
        and any(isinstance(one, ast.Raise) for one in node.body)
        for node in own
    )


def refuses_keys(module: str, route: str) -> bool:
    """Tell whether no API key will do, whatever its scopes."""
    return any(
        keyword.arg == "by_key" and isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        for node in reached(module, route)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
    )


def _first_arguments(nodes: Iterable[ast.AST], method: str) -> set[str]:
    return {
        str(node.args[0].value)
        for node in nodes
        if isinstance(node, ast.Call)
        and (getattr(node.func, "attr", None) or getattr(node.func, "id", None)) == method
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def _raised_by_sql(called: Iterable[str]) -> set[str]:
    waiting, seen, found = [f"public.{name}" for name in called], set(), set()
    bodies, triggers = _sql()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in bodies:
            continue
        seen.add(name)
        body = bodies[name]
        found |= set(_TEXT.findall(body))
        waiting += _CALL.findall(body)
        for write in _WRITE.findall(body):
            event, table = (part for part in write if part)
            waiting += [function for when, on, function in triggers if on == table and event in when]
    return found


@cache
def _sql() -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    text = "\n".join(_COMMENT.sub("", path.read_text()) for path in sorted((TOP / "infra" / "schema").glob("*.sql")))
    bodies = {name: _BLOCK.sub("", body) for name, _, body in _FUNCTION.findall(text)}
    return bodies, _TRIGGER.findall(text)


def answers_with_etag(module: str, route: str) -> bool:
    """Tell whether a route names the header `ETag`."""
    return any(isinstance(node, ast.Constant) and node.value == "ETag" for node in reached(module, route))
