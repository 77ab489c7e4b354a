"""Which files of the project a function needs, by what its modules import."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGES: Final = ("functions", "shared")
_NOT_DATA: Final = {".py", ".pyc"}
_ONLY_HERE: Final = {"requirements.txt"}


@dataclass(frozen=True, slots=True)
class Closure:
    """A function's own files, from the top of the tree, and the dotted names of all else that it imports.

    `optional` are those that it can do without: imported where a failure is caught.
    """

    files: tuple[Path, ...]
    imported: frozenset[str]
    optional: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Import:
    name: str
    optional: bool


def closure_of(function: str, top: Path) -> Closure:
    """Return what `functions/<function>/handler.py` reaches, and the data beside those modules."""
    waiting = [f"functions.{function}.handler"]
    modules: dict[str, Path] = {}
    outside: list[_Import] = []
    while waiting:
        name = waiting.pop()
        for module in _with_parents(name):
            path = _path(module, top)
            if path is None or module in modules:
                continue
            modules[module] = path
            found = list(_imports(path, module))
            waiting += [one.name for one in found if one.name.partition(".")[0] in PACKAGES]
            outside += [one for one in found if one.name.partition(".")[0] not in PACKAGES]
    files = {*modules.values(), *_data(modules, top)}
    needed = {one.name for one in outside if not one.optional}
    return Closure(
        files=tuple(sorted(path.relative_to(top) for path in files)),
        imported=frozenset(one.name for one in outside),
        optional=frozenset(one.name for one in outside if one.name not in needed),
    )


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _path(module: str, top: Path) -> Path | None:
    base = top.joinpath(*module.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def _data(modules: dict[str, Path], top: Path) -> Iterator[Path]:
    """Yield the files beside the handler and inside of packages, and those right in `shared` that a module names."""
    shared = top / "shared"
    for path in modules.values():
        if path.name in {"__init__.py", "handler.py"} and path.parent not in {shared, top / "functions"}:
            yield from (file for file in path.parent.rglob("*") if _is_data(file))
    texts = [path.read_text(encoding="utf-8") for path in modules.values()]
    for file in shared.iterdir():
        if _is_data(file) and any(file.name in text for text in texts):
            yield file


def _is_data(path: Path) -> bool:
    return path.is_file() and path.suffix not in _NOT_DATA and path.name not in _ONLY_HERE


def _imports(path: Path, module: str) -> Iterator[_Import]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    yield from _imports_of(ast.parse(path.read_text(encoding="utf-8")), package, optional=False)


def _imports_of(node: ast.AST, package: str, *, optional: bool) -> Iterator[_Import]:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            children = node.orelse
        case ast.Try(body=body) if any(_catches_import_error(handler) for handler in node.handlers):
            for child in body:
                yield from _imports_of(child, package, optional=True)
            children = [*node.handlers, *node.orelse, *node.finalbody]  # type: ignore[list-item]
        case ast.Import():
            yield from (_Import(alias.name, optional) for alias in node.names)
            return
        case ast.ImportFrom():
            base = _absolute(node, package)
            yield _Import(base, optional)
            yield from (_Import(f"{base}.{alias.name}", optional) for alias in node.names)
            return
        case _:
            children = list(ast.iter_child_nodes(node))  # type: ignore[arg-type]
    for child in children:
        yield from _imports_of(child, package, optional=optional)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else set()
    return bool(names & {"ImportError", "ModuleNotFoundError"})
