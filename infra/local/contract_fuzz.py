"""Ask the functions all that their OpenAPI document allows, and what it does not: `make contract SECONDS=300`.

No answer may be a server's error, or one that the document does not describe.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

from infra.local.stack import Stack
from infra.local.state import TOP

DOCUMENTED_FAULTS = Path(__file__).with_suffix(".toml")
DOCUMENT = TOP / "infra" / "openapi.json"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "use_after_free",
    "ignored_auth",
)
PHASES = "examples,coverage,fuzzing,stateful"


def fuzz(stack: Stack, seconds: float, *more: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis against a stack, as a signed-in user, for about so long."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                f"--config-file={DOCUMENTED_FAULTS}",
                "run",
                DOCUMENT,
                f"--url={stack.info['apiUrl']}",
                f"--header=Authorization: Bearer {stack.access_token()}",
                f"--checks={','.join(CHECKS)}",
                f"--phases={PHASES}",
                f"--max-time={round(seconds)}",
                "--continue-on-failure",
                "--output-truncate=true",
                "--warnings=off",
                *more,
            ],
            cwd=folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "140"},
        )


def main() -> int:
    """Run it on a stack of its own, and print what it says."""
    with tempfile.TemporaryDirectory(prefix="videomaker-contract-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL is another user where we are root
        with Stack(Path(folder) / "state", port=0) as stack:
            unlimited(stack)
            found = fuzz(stack, float(os.environ.get("SECONDS") or 300))
    print(found.stdout)
    return found.returncode


def unlimited(stack: Stack) -> None:
    """Let one user ask as often as it likes."""
    with psycopg.connect(stack.superuser_url, autocommit=True) as connection:
        connection.execute("update private.rate_limits set amount = 1000 * amount")
        connection.execute("update private.quotas set amount = 1000 * amount")


if __name__ == "__main__":
    sys.exit(main())
