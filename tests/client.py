"""Calls the deployed handlers as Lambda does: a function URL event in, a response out."""

import asyncio
import base64
import importlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from infra.local.gateway.events import HttpRequest, to_event
from infra.openapi.answers import difference

JsonObject = dict[str, Any]
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Answer:
    """A handler's response."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cookies: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def code(self) -> str | None:
        """The code of a problem; None for a good answer."""
        return self.json.get("code") if self.status >= 400 else None


@dataclass
class Context:
    """What handlers use of Lambda's context."""

    seconds: float = 30.0
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    function_name: str = "test"
    function_version: str = "$LATEST"
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:test"
    memory_limit_in_mb: int = 1024
    log_group_name: str = "/aws/lambda/test"
    log_stream_name: str = "test"
    _started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.seconds - (time.monotonic() - self._started)) * 1000))


def event(
    method: str,
    path: str = "/",
    *,
    query: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
    body: str | bytes | None = None,
    source_ip: str = "192.0.2.1",
    scheme: str = "http",
) -> JsonObject:
    """Return a function URL event, payload format 2.0."""
    named = {"host": "test.lambda-url.us-east-1.on.aws", "content-type": "application/json"}
    named |= {name.lower(): value for name, value in (headers or {}).items()}
    request = HttpRequest(
        method=method,
        path=path,
        query=urlencode(query or {}),
        headers=list(named.items()),
        body=body.encode() if isinstance(body, str) else body or b"",
        source_ip=source_ip,
        scheme=scheme,
    )
    found = to_event(request, "test")
    if isinstance(body, bytes):
        found |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return found


def invoke(function: str, given: JsonObject, context: Context | None = None, *, broken: bool = False) -> Answer:
    """Run one function's handler in this process; a 500 fails the test, unless it broke the function itself."""
    handler = importlib.import_module(f"functions.{function}.handler").handler
    result = handler(given, context or Context())
    body = result.get("body") or ""
    raw = base64.b64decode(body) if result.get("isBase64Encoded") else body.encode()
    assert (result["statusCode"] == 500) == broken, raw
    answer = Answer(result["statusCode"], result["headers"], raw, tuple(result.get("cookies") or ()))
    if not broken:
        _check(function, given, answer)
    return answer


def _check(function: str, given: JsonObject, answer: Answer) -> None:
    """Fail where an answer is not what the OpenAPI document says of it."""
    asked, content_type = given["requestContext"]["http"], answer.headers.get("content-type", "")
    differs = difference(function, (asked["method"], asked["path"]), answer.status, content_type, answer.body)
    assert differs is None, f"{asked['method']} {function}, {answer.status}: {differs}"


def in_parallel(call: Callable[[int], _Result], count: int, at_once: int = 16) -> list[_Result]:
    """Make calls of handlers at the same time, each with its number, in threads that have an event loop each."""
    with ThreadPoolExecutor(at_once, initializer=lambda: asyncio.set_event_loop(asyncio.new_event_loop())) as threads:
        return list(threads.map(call, range(count)))


def run_handler(handler: Callable[[Any, Any], Any], given: Any, context: Context | None = None) -> Any:
    """Run an event function's handler in this process, in a context of its own as every invocation is."""
    return copy_context().run(handler, given, context or Context())


class Client:
    """A client of the functions, signed in where it has a token."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token

    def post(self, function: str, body: object, **headers: str) -> Answer:
        return self.post_raw(function, json.dumps(body), **headers)

    def post_raw(self, function: str, body: str | bytes, **headers: str) -> Answer:
        return invoke(function, event("POST", f"/api/{function}", headers=self._headers(headers), body=body))

    def get(self, function: str, *, headers: Mapping[str, str] | None = None, **query: object) -> Answer:
        given = event("GET", f"/api/{function}", query=query, headers=self._headers(headers or {}))
        return invoke(function, given)

    def send(
        self,
        method: str,
        function: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        **query: object,
    ) -> Answer:
        """Send any method, with a JSON body where there is one."""
        text = None if body is None else json.dumps(body)
        named = self._headers(headers or {})
        return invoke(function, event(method, f"/api/{function}", query=query, headers=named, body=text))

    def patch(self, function: str, body: object) -> Answer:
        return invoke(function, event("PATCH", f"/api/{function}", headers=self._headers({}), body=json.dumps(body)))

    def delete(self, function: str, **query: object) -> Answer:
        return invoke(function, event("DELETE", f"/api/{function}", query=query, headers=self._headers({})))

    def upload(self, image: bytes, frame_id: int | str = 1, user_id: str | None = None) -> Answer:
        body = {"imageData": base64.b64encode(image).decode(), "frameId": frame_id}
        return self.post("upload_image", body | ({"userId": user_id} if user_id else {}))

    def save(self, storyboard: JsonObject, **headers: str) -> Answer:
        return self.post("save_frames", storyboard, **headers)

    def read(self, session_id: str, *, headers: Mapping[str, str] | None = None, **query: object) -> Answer:
        return self.get("get_frames", headers=headers, sessionId=session_id, **query)

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return named | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
