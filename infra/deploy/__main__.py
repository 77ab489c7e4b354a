"""`python -m infra.deploy check|deploy|urls --stage STAGE [--region REGION]`: what `make deploy` does."""

import argparse
import os
import re
import subprocess
import sys

from infra.deploy import parameters, urls
from infra.deploy.template import OSLS
from infra.local.state import TOP, StackError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 1 where a secret is missing or the deployment fails."""
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description=__doc__)
    parser.add_argument("command", choices=["deploy", "check", "urls"])
    parser.add_argument("--stage", required=True)
    parser.add_argument("--region", default=os.environ.get("AWS_REGION") or "us-east-1")
    given = parser.parse_args(arguments)
    try:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,15}", given.stage):
            raise StackError("STAGE is a short name of lower-case letters, digits and hyphens, as in STAGE=dev.")
        if given.command != "urls":
            parameters.check(given.stage, given.region)
            print(f"All parameters of /videomaker/{given.stage}/ are there.")
        if given.command == "deploy":
            _deploy(given.stage, given.region)
        if given.command != "check":
            _show(given.stage, given.region)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _deploy(stage: str, region: str) -> None:
    command = [str(OSLS), "deploy", "--stage", stage, "--region", region]
    if subprocess.run(command, cwd=TOP, check=False).returncode:
        raise StackError("The deployment failed; CloudFormation has put back what there was before.")


def _show(stage: str, region: str) -> None:
    path = urls.keep(stage, region)
    for name, url in urls.function_urls(stage, region).items():
        print(f"{name:<16} {url}")
    print(f"Written to {path.relative_to(TOP)}; `make smoke API_URL={path.relative_to(TOP)}` tries them.")


if __name__ == "__main__":
    sys.exit(main())
