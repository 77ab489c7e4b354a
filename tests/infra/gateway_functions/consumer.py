"""Consumes queue messages as their bodies say, and keeps each event that it gets in the folder EVENTS_FOLDER."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4


def handler(event: Mapping[str, Any], context: Any) -> Any:
    """A partial batch response, unless a body asks for something else.

    A body is `{"do": …}`: `fail` (at its first try, or always with `"always": true`), `raise`, `exit`, `hang`, `wait`
    for the file `until`, `answer` with `with`.
    """
    folder = Path(os.environ["EVENTS_FOLDER"])
    temporary = folder / f".{uuid4()}"
    temporary.write_text(json.dumps({"function": context.function_name, "event": event}))
    temporary.rename(folder / f"{time.time_ns()}.json")
    failed = []
    for record in event["Records"]:
        body = json.loads(record["body"])
        is_first = record["attributes"]["ApproximateReceiveCount"] == "1"
        match body.get("do") if is_first or body.get("always") else None:
            case "fail":
                failed.append({"itemIdentifier": record["messageId"]})
            case "raise":
                raise ValueError("a reason for the log only")
            case "exit":
                os._exit(1)
            case "hang":
                time.sleep(600)
            case "wait":
                while not Path(body["until"]).exists():
                    time.sleep(0.01)
            case "answer":
                return body["with"]
    return {"batchItemFailures": failed}
