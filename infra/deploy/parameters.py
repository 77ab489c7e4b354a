"""The secrets that a deployment reads from SSM: which ones it needs, and which are not there."""

import os
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import boto3

from infra.local.state import TOP, StackError

_PARAMETER: Final = re.compile(r"\$\{env:(\w+), ssm:(/videomaker/\$\{sls:stage\}/[\w-]+)(, '')?\}")
_SIGNERS: Final = ("SUPABASE_JWT_SECRET", "SUPABASE_SIGNING_KEY")  # either will do
_MOST_AT_ONCE: Final = 10  # names that SSM takes in a request


def required(stage: str) -> dict[str, str]:
    """Return the parameters without a default, by the variable that would take their place."""
    return {variable: name for variable, (name, has_default) in _parameters(stage).items() if not has_default}


def missing(stage: str, region: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names of required parameters that are neither in SSM nor replaced by a variable."""
    wanted = sorted(name for variable, name in required(stage).items() if not environment.get(variable))
    signers = [] if any(environment.get(one) for one in _SIGNERS) else [_parameters(stage)[one][0] for one in _SIGNERS]
    absent = _absent([*wanted, *signers], region)
    unsigned = bool(signers) and set(signers) <= set(absent)
    return [name for name in absent if name not in signers] + (signers if unsigned else [])


def _parameters(stage: str) -> dict[str, tuple[str, bool]]:
    found = _PARAMETER.findall((TOP / "serverless.yml").read_text())
    return {variable: (name.replace("${sls:stage}", stage), bool(default)) for variable, name, default in found}


def _absent(names: list[str], region: str) -> list[str]:
    ssm: Any = boto3.client("ssm", region_name=region)
    absent: list[str] = []
    for start in range(0, len(names), _MOST_AT_ONCE):
        absent += ssm.get_parameters(Names=names[start : start + _MOST_AT_ONCE])["InvalidParameters"]
    return absent


def check(stage: str, region: str, environment: Mapping[str, str] = os.environ) -> None:
    """Raise StackError where secrets are missing, or where the environment is that of a stack on this machine."""
    if urlsplit(environment.get("SUPABASE_URL", "")).hostname in ("127.0.0.1", "localhost"):
        raise StackError("SUPABASE_URL in the environment is a stack on this machine. Deploy from another shell.")
    if absent := missing(stage, region, environment):
        commands = [
            f"aws ssm put-parameter --region {region} --type SecureString --name {name} --value …" for name in absent
        ]
        raise StackError("\n".join(["These parameters are missing; put them there first:", *commands]))
