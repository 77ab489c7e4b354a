"""Peers that come as Python packages, each in a folder of its own below `build/`, installed at the first use."""

import subprocess
import sys
from pathlib import Path

from infra.local.state import TOP

_FOLDER = TOP / "build" / "bench"


def installed(requirement: str) -> Path:
    """Return the folder that holds this package, of a version like `name==1.2`, and what it needs."""
    folder = _FOLDER / requirement.replace("==", "-")
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]
        subprocess.run([*command, partial, requirement], check=True)
        partial.rename(folder)
    return folder
