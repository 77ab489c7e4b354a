"""Holds the house rules: who may import whom, and one owner for each dependency."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
HANDLERS = sorted((TOP / "functions").glob("*/handler.py"))
OF_FUNCTIONS = sorted((TOP / "functions").glob("*/*.py"))
HTTP_HANDLERS = [path for path in HANDLERS if "create_app(" in path.read_text(encoding="utf-8")]
SHARED = sorted((TOP / "shared").rglob("*.py"))

# Each module may import those of lower floors; only those of the ground floor also one another. A package is one
# module: what is inside of it is its own affair.
FLOORS = [
    {
        "settings",
        "errors",
        "problems",
        "models",
        "moments",
        "paging",
        "timeline",
        "pricing",
        "media_formats",
        "media_urls",
        "signatures",
        "workspace",
    },
    {"observability", "images", "video", "tickets", "shares"},
    {"cache", "upstream", "ingest_bucket", "outbound"},
    {"supabase_access", "jobs"},
    {"usage"},
    {"rate_limits", "templates", "uploads", "renderings", "leases", "deliveries"},
    {"identity"},
    {"storyboards"},
    {"web"},
]
OWNERS = {
    "supabase": {"supabase_access"},
    "postgrest": {"supabase_access", "upstream"},
    "storage3": {"supabase_access", "upstream"},
    "httpx": {"supabase_access", "upstream", "jobs"},
    "httpcore": {"outbound"},
    "boto3": {"jobs", "ingest_bucket"},
    "botocore": {"jobs", "ingest_bucket"},
    "PIL": {"images", "video"},
    "pyvips": {"images"},
    "pybase64": {"images"},
    "av": {"video"},
    "redis": {"cache"},
    "sentry_sdk": {"observability"},
    "jwt": {"identity"},
    "fastapi": {"web", "identity"},
    "starlette": {"web"},
}
ALLOWED_IN_FUNCTIONS = {"fastapi", "pydantic", "mangum", "shared"}
STANDARD_LIBRARY = set(__import__("sys").stdlib_module_names)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def module_of(path: Path) -> str:
    """Return the module or package directly below `shared` that a file belongs to."""
    return path.relative_to(TOP / "shared").parts[0].removesuffix(".py")


def floor_of(module: str) -> int:
    return next(number for number, modules in enumerate(FLOORS) if module in modules)


def reads_environment(path: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


@pytest.mark.parametrize("path", OF_FUNCTIONS, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_function_imports_only_the_framework_shared_and_its_own_folder(path: Path) -> None:
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(ast.parse(path.read_text())))
    others = {name for name in imports(path) if not name.startswith(f"functions.{path.parent.name}.")}
    assert {name.partition(".")[0] for name in others} - STANDARD_LIBRARY <= ALLOWED_IN_FUNCTIONS


@pytest.mark.parametrize("handler", HTTP_HANDLERS, ids=lambda path: path.parent.name)
def test_an_http_handler_ends_by_wrapping_its_app(handler: Path) -> None:
    assert handler.read_text(encoding="utf-8").rstrip().splitlines()[-1] == 'handler = Mangum(app, lifespan="off")'


@pytest.mark.parametrize("module", SHARED, ids=module_of)
def test_shared_never_imports_functions_nor_a_higher_floor(module: Path) -> None:
    if module == TOP / "shared" / "__init__.py":
        assert not list(imports(module))
        return
    assert "functions" not in roots(module)
    room = module_of(module)
    for name in imports(module):
        if name.startswith("shared."):
            used = name.split(".")[1]
            assert used == room or floor_of(used) < floor_of(room) or floor_of(used) == floor_of(room) == 0, name


@pytest.mark.parametrize("module", SHARED, ids=lambda path: str(path.relative_to(TOP / "shared")))
def test_each_dependency_is_imported_by_its_owner_only(module: Path) -> None:
    for dependency in roots(module) & OWNERS.keys():
        assert module_of(module) in OWNERS[dependency], f"{module.name} imports {dependency}"


@pytest.mark.parametrize("path", [*SHARED, *OF_FUNCTIONS], ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_only_settings_reads_the_environment(path: Path) -> None:
    assert not reads_environment(path) or path.stem == "settings"


@pytest.mark.parametrize("path", [*SHARED, *OF_FUNCTIONS], ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_only_functions_without_a_caller_pass_row_level_security_by(path: Path) -> None:
    name = path.parent.name if path in OF_FUNCTIONS else path.stem
    if "as_service" in path.read_text(encoding="utf-8"):
        assert name in {
            "supabase_access",
            "on_upload",
            "storage_webhook",
            "maintenance",
            "render_clip",
            "merge_clips",
            "deliver_webhook",
        }


@pytest.mark.parametrize("path", [*SHARED, *OF_FUNCTIONS], ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_file_stays_short_enough_to_be_read(path: Path) -> None:
    if path.stem != "problems":  # one table, as long as it is
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
