"""Compile a tree; run by the Python that the bytecode is for: `python bytecode.py FOLDER PLACE [sourceless]`.

PLACE is where the folder will lie, which tracebacks name. The bytecode is believed unchecked: dates mean nothing in an
artifact. Sourceless leaves the bytecode alone, beside where the source was.
"""

import importlib.util
import py_compile
import sys
from pathlib import Path


def main(folder: Path, place: str, *, sourceless: bool) -> None:
    """Compile every module of the folder; raises for one that cannot be compiled."""
    for source in sorted(folder.rglob("*.py")):
        target = source.with_suffix(".pyc") if sourceless else Path(importlib.util.cache_from_source(str(source)))
        py_compile.compile(
            str(source),
            str(target),
            f"{place}/{source.relative_to(folder).as_posix()}",
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        if sourceless:
            source.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sourceless="sourceless" in sys.argv[3:])
