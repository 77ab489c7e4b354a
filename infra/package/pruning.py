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
    re.compile(r"^anyio/(_backends/_trio|pytest_plugin)\."),
    re.compile(r"^packaging/(?!__init__|_structures|version)"),  # asked for the version of a deprecated call
    # Redis with modules, or with several addresses to choose from.
    re.compile(
        r"^redis/((asyncio/)?(http|multidb)/|commands/(bf|json|search|timeseries|vectorset)/|background\.|ocsp\.)"
    ),
    # Formats that are refused by their first bytes; TIFF is how EXIF is written, BMP and PPM are there for saving.
    re.compile(
        r"^PIL/(Blp|Bufr|Cur|Dcx|Dds|Eps|Fits|Fli|Fpx|Ftex|Gbr|Grib|Hdf5|Icns|Ico|Im|Imt|Iptc|Jpeg2K|McIdas|Mic|Mpeg|Msp"
        r"|Palm|Pcd|Pcx|Pdf|Pixar|Psd|Qoi|Sgi|Spider|Sun|Tga|Wmf|Xbm|Xpm|XVThumb)(Stub)?ImagePlugin\."
    ),
    re.compile(r"^PIL/(ImageDraw2|ImageGrab|ImageQt|ImageShow|ImageTk|ImageWin|PSDraw|PdfParser|features|report)\."),
    re.compile(r"^PIL/((Bdf|Pcf)?FontFile|ContainerIO|FitsIO|GdImageFile|TarIO|WalImageFile|_tkinter_finder)\."),
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
# Modules that one distribution alone has a use for: cryptography needs no more of cffi than its `_cffi_backend`.
_USED_BY: Final = ((re.compile(r"^(cffi|pycparser)/"), "pyvips"),)


def is_unused(path: str) -> bool:
    """Tell whether no function runs or reads a file, by its path among the installed ones."""
    return any(pattern.search(path) for pattern in _UNUSED_FILES)


def is_unread_record(path: str, *, has_entry_points: bool) -> bool:
    """Tell whether a file is of a distribution's records, and nothing reads it."""
    return bool(_RECORDS.match(path)) and not (has_entry_points and _ENTRY_POINTS.match(path))


def has_entry_points(text: str) -> bool:
    """Tell whether the text of an `entry_points.txt` names more than programs."""
    return bool(set(re.findall(r"^\[([^\]]+)\]", text, re.MULTILINE)) - _SCRIPTS_ONLY)


def is_not_loaded(path: str, imported: Iterable[str], distributions: Iterable[str]) -> bool:
    """Tell whether a file is loaded only for a module that is not imported, or by a distribution that is not there."""
    return any(pattern.search(path) and module not in imported for pattern, module in _LOADED_FOR) or any(
        pattern.search(path) and name not in distributions for pattern, name in _USED_BY
    )
