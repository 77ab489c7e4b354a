"""What of the dependencies no function runs, with the reasons."""

import re
from collections.abc import Iterable
from typing import Final

# Distributions that are required and never imported. The clients of Supabase ask for httpx with HTTP/2, whose three
# packages are imported where they can be found; `shared.upstream` gives those clients an HTTP/1.1 client of its own.
NEVER_IMPORTED: Final = frozenset({"h2", "hpack", "hyperframe"})

# In the managed runtime already, with what they stand on; 16 MB zipped.
IN_THE_RUNTIME: Final = frozenset({"boto3", "botocore", "s3transfer"})

_UNUSED_FILES: Final = (
    re.compile(r"(^|/)(tests?|testing|__pycache__)/"),
    re.compile(r"\.(pyi|pyx|pxd|c|h|hpp|cpp|a|rst|md)$"),
    re.compile(r"(^|/)py\.typed$"),
    re.compile(r"^(bin|share|include)/"),  # programs
    re.compile(r"^pydantic/v1/"),  # the old pydantic: fastapi looks for it to refuse its models, and does without
    re.compile(r"^pydantic/mypy\.py$"),
    re.compile(r"^PIL/_imagingtk\."),
    re.compile(r"(^|/)_testcapi\."),
    # Of Sentry's hundred integrations, which would catch for themselves what we tell it, its client names two modules.
    re.compile(r"^sentry_sdk/integrations/(?!(__init__|dedupe)\.py$)"),
    re.compile(r"^sentry_sdk/ai/"),
    re.compile(r"^urllib3/contrib/emscripten/"),
)
# Of what an installation records, only entry points are read when a program runs.
_RECORDS: Final = re.compile(r"^[^/]+\.dist-info/")
_ENTRY_POINTS: Final = re.compile(r"^[^/]+\.dist-info/(entry_points\.txt|METADATA)$")
_SCRIPTS_ONLY: Final = {"console_scripts", "gui_scripts"}

# Extension modules that a library loads for one of its modules alone: left out where nothing imports that.
_LOADED_FOR: Final = (
    (re.compile(r"^PIL/_imagingft\."), "PIL.ImageFont"),
    (re.compile(r"^PIL/_imagingmath\."), "PIL.ImageMath"),
    (re.compile(r"^PIL/_imagingmorph\."), "PIL.ImageMorph"),
)


def is_unused(path: str) -> bool:
    """Tell whether no function runs or reads a file, by its path among the installed ones."""
    return any(pattern.search(path) for pattern in _UNUSED_FILES)


def is_unread_record(path: str, *, has_entry_points: bool) -> bool:
    """Tell whether a file is of a distribution's records, and nothing reads it."""
    return bool(_RECORDS.match(path)) and not (has_entry_points and _ENTRY_POINTS.match(path))


def has_entry_points(text: str) -> bool:
    """Tell whether the text of an `entry_points.txt` names more than programs."""
    return bool(set(re.findall(r"^\[([^\]]+)\]", text, re.MULTILINE)) - _SCRIPTS_ONLY)


def is_not_loaded(path: str, imported: Iterable[str]) -> bool:
    """Tell whether a file is loaded only for a module that is not among the imported ones."""
    return any(pattern.search(path) and module not in imported for pattern, module in _LOADED_FOR)
