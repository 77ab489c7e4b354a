"""Does what the last part of the path says, and tells what a handler can see of its environment."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

calls = 0


def handler(event: Mapping[str, Any], context: Any) -> Any:
    """The result of the action."""
    global calls  # noqa: PLW0603 - state that must never be shared by two invocations at once
    calls += 1
    action = event["rawPath"].rpartition("/")[2]
    return ACTIONS[action](event, context)


def echo(event: Mapping[str, Any], _context: Any) -> Any:
    """The event itself, and its size as compact JSON."""
    size = len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())
    shown = event if size < 100_000 else {**event, "body": ""}
    return {"statusCode": 200, "body": json.dumps({"event": shown, "size": size})}


def give(event: Mapping[str, Any], _context: Any) -> Any:
    """Whatever JSON the body holds, as the result."""
    return json.loads(event["body"])


def fill(event: Mapping[str, Any], _context: Any) -> Any:
    """A result of as many bytes of JSON as asked for."""
    return "x" * (int(event["queryStringParameters"]["bytes"]) - 2)


def meet(event: Mapping[str, Any], _context: Any) -> Any:
    """The process and its number of calls, once `count` invocations are under way in `folder`."""
    asked = event["queryStringParameters"]
    seen = calls
    folder = Path(asked["folder"])
    (folder / event["requestContext"]["requestId"]).touch()
    while len(list(folder.iterdir())) < int(asked["count"]):
        time.sleep(0.01)
    return {"pid": os.getpid(), "calls": calls, "shared": calls != seen}


def about(_event: Mapping[str, Any], context: Any) -> Any:
    """The process, the code it runs, its Lambda variables and its context."""
    from shared.greeting import GREETING  # type: ignore[import-not-found]  # noqa: PLC0415

    names = ("AWS_", "LAMBDA_", "_HANDLER", "FROM_PROVIDER", "ALREADY_SET", "SUPABASE_", "GUEST_", "INGEST_")
    return {
        "pid": os.getpid(),
        "calls": calls,
        "greeting": GREETING,
        "folder": str(Path.cwd()),
        "variables": {name: value for name, value in os.environ.items() if name.startswith(names)},
        "context": {
            "aws_request_id": context.aws_request_id,
            "function_name": context.function_name,
            "function_version": context.function_version,
            "memory_limit_in_mb": context.memory_limit_in_mb,
            "invoked_function_arn": context.invoked_function_arn,
            "log_group_name": context.log_group_name,
            "log_stream_name": context.log_stream_name,
            "client_context": context.client_context,
            "identity": context.identity,
        },
        "remaining": context.get_remaining_time_in_millis(),
    }


def fail(_event: Mapping[str, Any], _context: Any) -> Any:
    """Raises."""
    raise ValueError("a reason for the log only")


def die(event: Mapping[str, Any], _context: Any) -> Any:
    """Starts another program, notes both processes, and ends without an answer."""
    child = subprocess.Popen(["sleep", "600"])
    Path(event["queryStringParameters"]["pids"]).write_text(f"{os.getpid()} {child.pid}\n")
    os._exit(3)


def hang(event: Mapping[str, Any], _context: Any) -> Any:
    """Starts another program, notes both processes, and never answers."""
    child = subprocess.Popen(["sleep", "600"])
    pids = Path(event["queryStringParameters"]["pids"])
    pids.write_text(f"{os.getpid()} {child.pid}\n")
    time.sleep(600)


def touch(event: Mapping[str, Any], _context: Any) -> Any:
    """Waits for the file `after`, then makes the file `then`."""
    asked = event["queryStringParameters"]
    Path(asked["started"]).touch()
    while not Path(asked["after"]).exists():
        time.sleep(0.01)
    Path(asked["then"]).touch()


def unserialisable(_event: Mapping[str, Any], _context: Any) -> Any:
    """What JSON cannot hold."""
    return {"statusCode": 200, "body": b"bytes"}


def say(_event: Mapping[str, Any], _context: Any) -> Any:
    """Prints to both standard streams, and through a program."""
    print("printed by the handler")
    subprocess.run(["sh", "-c", "echo printed by a program >&2"], check=True)


def chatter(_event: Mapping[str, Any], _context: Any) -> Any:
    """Prints more than pipes and buffers hold."""
    for _ in range(1000):
        print("x" * 1000)


ACTIONS: dict[str, Callable[[Mapping[str, Any], Any], Any]] = {
    action.__name__: action
    for action in (echo, give, fill, meet, about, fail, die, hang, touch, unserialisable, say, chatter)
}
