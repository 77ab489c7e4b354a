"""`python -m infra.local.invoke FUNCTION EVENT`: run one handler by hand and print what it returns."""

import base64
import binascii
import json
import os
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from infra.local.gateway.configuration import Function, Service
from infra.local.gateway.context import LambdaContext, environment_variables
from infra.local.gateway.runtime import enter_task_root, load_handler
from infra.local.stack import function_environment
from infra.local.state import TOP, State, default_folder, running_info


def main(function: str, event_path: str) -> int:
    """Invoke `function` in this process with the event in a JSON file, and print its result as JSON.

    The handler runs against the local stack where one is running, else against whatever the environment
    names (`SUPABASE_URL`, …). The exit status is 1 where the function or its event is missing, or it raises.
    """
    service = Service(Path(os.environ.get("SERVERLESS_YML") or TOP / "serverless.yml"))
    known = service.functions
    if function not in known:
        return _complain(f"No function {function!r} in {service.path.name}: {', '.join(sorted(known))}.")
    try:
        event = json.loads(Path(event_path).read_text())
    except (OSError, ValueError) as error:
        return _complain(f"{event_path} is not an event: {error}")
    folder = default_folder()
    if info := running_info(folder):
        os.environ.update(function_environment(State(folder), info))
    enter_task_root(environment_variables(known[function], service.root))
    return _invoke(known[function], event)


def _invoke(function: Function, event: object) -> int:
    started = time.perf_counter()
    try:
        handler = load_handler(function)
        result = json.loads(json.dumps(handler(event, LambdaContext(function, str(uuid4())))))
    except Exception:
        traceback.print_exc()
        return 1
    print(json.dumps(readable(result), indent=2, ensure_ascii=False))
    print(f"{function.name} took {time.perf_counter() - started:.3f} s", file=sys.stderr)
    return 0


def readable(result: Any) -> Any:
    """The result of a function URL with its body as a person would read it; any other result as it is."""
    if not isinstance(result, dict) or not isinstance(result.get("body"), str):
        return result
    text = _text(result)
    if text is None:
        return result
    try:
        return {**result, "body": json.loads(text), "isBase64Encoded": False}
    except ValueError:
        return {**result, "body": text, "isBase64Encoded": False}


def _text(result: Mapping[str, Any]) -> str | None:
    body: str = result["body"]
    if not result.get("isBase64Encoded"):
        return body
    try:
        return base64.b64decode(body, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _complain(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m infra.local.invoke FUNCTION EVENT")
    sys.exit(main(sys.argv[1], sys.argv[2]))
