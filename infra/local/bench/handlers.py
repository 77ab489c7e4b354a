"""The functions' handlers, called in this process as Lambda calls them, for a signed-in user."""

import importlib
import json
import time
import uuid
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlencode

import httpx

from infra.local.gateway.configuration import Service
from infra.local.gateway.context import LambdaContext
from infra.local.gateway.events import HttpRequest, to_event
from infra.local.state import TOP

Handler = Callable[[Any, Any], Any]


def call(  # noqa: PLR0913
    name: str,
    method: str,
    token: str,
    *,
    query: dict[str, str] | None = None,
    body: object = None,
    handler: Handler | None = None,
) -> tuple[float, str]:
    """Return the milliseconds that a call takes, and the body of its answer; raises RuntimeError for a refusal.

    Another `handler` may take the place of the function's own.
    """
    request = HttpRequest(
        method=method,
        path=f"/api/{name}",
        query=urlencode(query or {}),
        headers=[("authorization", f"Bearer {token}"), ("content-type", "application/json")],
        body=b"" if body is None else json.dumps(body).encode(),
        source_ip="127.0.0.1",
    )
    handler = handler or importlib.import_module(f"functions.{name}.handler").handler
    event, context = to_event(request, name), LambdaContext(_functions()[name], str(uuid.uuid4()))
    started = time.perf_counter()
    answer = handler(event, context)
    spent = 1000 * (time.perf_counter() - started)
    if answer["statusCode"] != httpx.codes.OK:
        raise RuntimeError(answer["body"])
    return spent, answer["body"]


@cache
def _functions() -> Any:
    return Service(TOP / "serverless.yml").functions
