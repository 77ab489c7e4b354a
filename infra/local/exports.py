"""`python -m infra.local env`: the running stack's environment as a shell's exports, for `osls invoke local`."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.local.stack import AWS_ACCOUNT_ID, function_environment
from infra.local.state import StackError, State, running_info


def main(folder: Path) -> int:
    """Print what `eval` takes; raises StackError where no stack runs."""
    print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in exports(folder).items()))
    return 0


def exports(folder: Path) -> Mapping[str, str]:
    """Return the functions' variables, what `make migrate` and `smoke` take, and this Python as `python3`."""
    info = running_info(folder)
    if info is None:
        raise StackError(f"No stack runs on {folder}: `make up` starts one.")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    own = {
        "API_URL": info["apiUrl"],
        "DATABASE_URL": info["databaseUrl"],
        "STORAGE_WEBHOOK_URL": f"{info['apiUrl']}/api/storage_webhook",
    }
    return {**function_environment(State(folder), info), "AWS_ACCOUNT_ID": AWS_ACCOUNT_ID, "PATH": path, **own}
