"""Lambda's Runtime API, and a process of AWS's own runtime client that runs an artifact against it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from types import TracebackType
from typing import Any, Self

PREFIX = "/2018-06-01/runtime"
ACCOUNT = "123456789012"
SECONDS = 60


class FunctionError(Exception):
    """The function raised, or could not even be imported; the text is what the runtime client reported of it."""


@dataclass(frozen=True)
class Event:
    """One event on its way to the function."""

    body: bytes
    request_id: str


class RuntimeApi:
    """Serves one environment inside a `with`."""

    def __init__(self, function: str, seconds: float = SECONDS) -> None:
        self.arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{function}"
        self.seconds = seconds
        self.events: Queue[Event | None] = Queue()
        self.outcomes: Queue[tuple[str, bytes]] = Queue()

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.events.put(None)
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    """Answers the runtime client."""

    api: RuntimeApi
    protocol_version = "HTTP/1.1"
    # Written at once and sent at once: else each call waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        event = self.api.events.get()
        if event is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": event.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self.api.seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self.api.arn,
            "Lambda-Runtime-Trace-Id": "Root=1-6874e1a0-7e8d6f3a0b1c4d2e9f304a5b",
            "Content-Type": "application/json",
        }
        self._answer(200, headers, event.body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = "response" if self.path.endswith("/response") else "error"
        self.api.outcomes.put((kind, body))
        self._answer(202, {"Content-Type": "application/json"}, b'{"status":"OK"}')

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Environment:
    """An unpacked artifact, run by `awslambdaric` inside a `with`: nothing else of the project can be imported."""

    def __init__(
        self, python: str, task_root: Path, runtime: Path, function: str, variables: Mapping[str, str]
    ) -> None:
        self._python = python
        self.task_root = task_root
        self._runtime = runtime
        self._function = function
        self._variables = variables

    def __enter__(self) -> Self:
        self._api = RuntimeApi(self._function).__enter__()
        name = f"functions.{self._function}.handler.handler"
        variables = {
            **self._variables,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_LAMBDA_FUNCTION_NAME": self._function,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "LAMBDA_TASK_ROOT": str(self.task_root),
            "PYTHONPATH": str(self._runtime),
            "PYTHONDONTWRITEBYTECODE": "1",  # the task root is read-only
            "_HANDLER": name,
            "PATH": "",
        }
        self._output = (self.task_root.parent / f"{self._function}.log").open("w+")
        self._process = subprocess.Popen(
            [self._python, "-S", "-m", "awslambdaric", name],
            cwd=self.task_root,
            env=variables,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._api.__exit__(kind, error, trace)
        self._output.close()

    @property
    def log(self) -> str:
        """What the function has written."""
        return Path(self._output.name).read_text()

    def invoke(self, event: object) -> Any:
        """Return the function's result; raises `FunctionError`."""
        self._api.events.put(Event(json.dumps(event).encode(), str(uuid.uuid4())))
        until = time.monotonic() + SECONDS
        while True:
            try:
                kind, body = self._api.outcomes.get(timeout=0.2)
                break
            except Empty:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise FunctionError(self.log) from None
        if kind == "error":
            raise FunctionError(f"{body.decode()}\n{self.log}")
        return json.loads(body)
