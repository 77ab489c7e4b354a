"""What a function leads to: the syntax trees of all that its definition, and theirs, use of this project."""

import ast
from collections.abc import Iterator
from functools import cache
from typing import Final

from infra.local.state import TOP

Place = tuple[str, str]  # a module, and a name in it

_ELSEWHERE: Final = {"app", "handler", "PROBLEMS"}  # what every function has, and what answers for all of them


def reached(module: str, name: str) -> list[ast.AST]:
    """Return all nodes that run on behalf of one definition; what its callers swallow is left out.

    Names lead to definitions. Of a class only the methods count whose name is used anywhere among the nodes.
    """
    waiting: list[Place] = [(module, name)]
    seen: set[Place] = set()
    found: list[ast.AST] = []
    classes: list[tuple[str, ast.ClassDef]] = []
    used: set[str] = set()
    entered: set[int] = set()
    while waiting or classes:
        if not waiting:
            methods = [
                (owner, method)
                for owner, definition in classes
                for method in definition.body
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
                and id(method) not in entered
                and (method.name in used or method.name.startswith("__") or method.decorator_list)
            ]
            if not methods:
                break
            for owner, method in methods:
                entered.add(id(method))
                _enter(owner, method, found, waiting, used)
            continue
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        for definition in _definitions(*place):
            if isinstance(definition, ast.ClassDef):
                classes.append((place[0], definition))
            _enter(place[0], definition, found, waiting, used)
    return found


def _enter(module: str, definition: ast.AST, found: list[ast.AST], waiting: list[Place], used: set[str]) -> None:
    imported, nodes = _imported(module), _nodes(definition)
    found += nodes
    for node in nodes:
        if isinstance(node, ast.Attribute):
            used.add(node.attr)
            if isinstance(node.value, ast.Name) and node.value.id in imported:
                waiting.append((".".join(imported[node.value.id]), node.attr))
        elif isinstance(node, ast.Name) and node.id not in _ELSEWHERE:
            waiting.append(imported.get(node.id, (module, node.id)))


@cache
def _nodes(definition: ast.AST) -> tuple[ast.AST, ...]:
    return tuple(_running(definition))


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below one, without the methods of a class and what a swallowed `AppError` ends.

    Of decorators only what a route depends on is run for a request.
    """
    yield node
    for field, value in ast.iter_fields(node):
        if field == "decorator_list":
            for keyword in (one for decorator in value for one in getattr(decorator, "keywords", ())):
                if keyword.arg == "dependencies":
                    yield from _running(keyword.value)
            continue
        if isinstance(node, ast.Try) and field == "body" and _swallows(node):
            continue
        for child in value if isinstance(value, list) else [value]:
            is_method = isinstance(node, ast.ClassDef) and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.AST) and not is_method:
                yield from _running(child)


def _swallows(node: ast.Try) -> bool:
    return any(
        isinstance(handler.type, ast.Name)
        and handler.type.id == "AppError"
        and not any(isinstance(one, ast.Raise) for one in ast.walk(handler))
        for handler in node.handlers
    )


def _definitions(module: str, name: str) -> list[ast.stmt]:
    tree = _tree(module)
    return [one for one in tree.body if name in _defined(one)] if tree else []


@cache
def _tree(module: str) -> ast.Module | None:
    base = TOP.joinpath(*module.split("."))
    path = next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)
    return ast.parse(path.read_text(encoding="utf-8")) if path else None


@cache
def _imported(module: str) -> dict[str, Place]:
    """Return where the names of a module come from, of those that this project defines."""
    tree = _tree(module)
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in ("shared", "functions")
        for alias in node.names
    }


def _defined(node: ast.stmt) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()
