"""Which of the project's files a function is made of."""

from pathlib import Path

import pytest

from infra.package.closure import closure_of

FILES = {
    "functions/__init__.py": "import gc",
    "functions/draw/__init__.py": "",
    "functions/draw/handler.py": "from shared import plain\nfrom shared.pictures import draw\nimport fastapi",
    "functions/draw/page.html": "<html>",
    "functions/draw/requirements.txt": "fastapi",
    "functions/other/__init__.py": "",
    "functions/other/handler.py": "import shared.unused",
    "shared/__init__.py": "",
    "shared/plain.py": "NAME = 'prices.json'\nif TYPE_CHECKING:\n    import mypy_boto3_s3",
    "shared/prices.json": "{}",
    "shared/nobodys.json": "{}",
    "shared/unused.py": "import boto3",
    "shared/pictures/__init__.py": "from .draw import draw",
    "shared/pictures/draw.py": "def draw():\n    from PIL import ImageFont\n    from shared.pictures import lines",
    "shared/pictures/lines.py": "try:\n    import pyvips\nexcept ImportError:\n    import struct",
    "shared/pictures/unread.py": "import av",
    "shared/pictures/fonts/Sans.ttf": "font",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def files(tree: Path) -> set[str]:
    return {path.as_posix() for path in closure_of("draw", tree).files}


def test_modules_are_those_that_are_reached_however_they_are_imported(tree: Path) -> None:
    modules = {name for name in files(tree) if name.endswith(".py")}
    assert modules == {
        "functions/__init__.py",
        "functions/draw/__init__.py",
        "functions/draw/handler.py",
        "shared/__init__.py",
        "shared/plain.py",
        "shared/pictures/__init__.py",
        "shared/pictures/draw.py",
        "shared/pictures/lines.py",
    }


def test_data_beside_the_handler_in_packages_and_named_by_a_module_comes_along(tree: Path) -> None:
    data = {name for name in files(tree) if not name.endswith(".py")}
    assert data == {"functions/draw/page.html", "shared/pictures/fonts/Sans.ttf", "shared/prices.json"}


def test_what_lies_outside_is_named_and_what_can_be_missing_is_marked(tree: Path) -> None:
    found = closure_of("draw", tree)
    assert {"fastapi", "PIL.ImageFont", "pyvips", "struct"} <= found.imported
    assert found.optional == {"pyvips"}


def test_what_only_type_checkers_import_does_not_count(tree: Path) -> None:
    assert "mypy_boto3_s3" not in closure_of("draw", tree).imported
