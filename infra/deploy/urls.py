"""The function URLs of a deployed stage: read from CloudFormation, kept in a file for clients and the smoke test."""

import json
from pathlib import Path
from typing import Any, Final

import boto3

from infra.local.gateway.configuration import Service
from infra.local.state import TOP, StackError

SERVICE: Final = "videomaker"
_SUFFIX: Final = "LambdaFunctionUrl"


def file_of(stage: str) -> Path:
    """Return where the URLs of a stage are kept."""
    return TOP / "build" / f"urls-{stage}.json"


def function_urls(stage: str, region: str) -> dict[str, str]:
    """Return every function's URL by its name; raises StackError where the stage is not deployed."""
    client: Any = boto3.client("cloudformation", region_name=region)
    try:
        [stack] = client.describe_stacks(StackName=f"{SERVICE}-{stage}")["Stacks"]
    except client.exceptions.ClientError as error:
        raise StackError(f"The stage {stage} is not deployed in {region}: {error}") from error
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", ())}
    functions = Service(TOP / "serverless.yml").url_functions
    found = {name: outputs.get(output_of(name)) for name in functions}
    if absent := sorted(name for name, url in found.items() if url is None):
        raise StackError(f"The stage {stage} has no URL of {', '.join(absent)}.")
    return {name: str(url) for name, url in found.items()}


def output_of(function: str) -> str:
    """Return the name of the stack's output for a function's URL."""
    return function[0].upper() + function[1:].replace("_", "Underscore") + _SUFFIX


def keep(stage: str, region: str) -> Path:
    """Write a stage's URLs into its file, as `createVideomakerClient` takes them, and return where it lies."""
    path = file_of(stage)
    path.parent.mkdir(exist_ok=True)
    document = {"stage": stage, "region": region, "functionUrls": function_urls(stage, region)}
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path
