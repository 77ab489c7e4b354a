"""The conventions of every HTTP function: paths, request id, timings, and errors as RFC 9457 problems."""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping, MutableMapping
from functools import wraps
from typing import Annotated, Any, Final, Literal

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import usage
from shared.errors import AppError
from shared.models import Model, field_errors
from shared.observability import Invocation, begin, end, log, measure, severity
from shared.observability.tracing import Trace
from shared.problems import PROBLEMS

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,128}")
_SECONDS_WITHOUT_LAMBDA: Final = 30.0
_PATHS_SHOWN: Final = 100
_TOLD: Final = (b"x-request-id", b"traceparent", b"content-length")


class FieldProblem(Model):
    """What is wrong with one field: its path, as in `frames[2].imageUrl`, and why."""

    path: str
    message: str


class ProblemDetails(Model):
    """An error, by RFC 9457. `code` is stable, `detail` says what to do; what follows `requestId` comes with some."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    success: Literal[False]
    type: Annotated[str, Field(description="`urn:videomaker:problem:` and the code")]
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblem] = Field(default_factory=list, description="What is wrong with which field")
    scope: str = Field(default_factory=str, description="That the API key lacks")
    quota: str = Field(default_factory=str, description="That is used up")
    amount: float = Field(default_factory=float, description="Of the quota")
    resets_at: str = Field(default_factory=str, description="When a quota of a month begins anew")
    current_version: int | None = Field(default_factory=int, description="Of what has changed; null: it is gone")
    estimated_cost: float = Field(default_factory=float, description="US dollars, above `maxCost`")
    frame_number: int = Field(default_factory=int, description="The frame that is to blame")
    frame_numbers: list[int] = Field(default_factory=list, description="All of them")


def create_app(name: str, summary: str) -> FastAPI:
    """Return the app of one function: it answers at `/` and at `/api/<name>`, in the house's manner."""
    app = FastAPI(
        title=name,
        summary=summary,
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        strict_content_type=False,
        responses={"default": {"model": ProblemDetails, "description": "What went wrong, and what to do next"}},
    )
    app.router.route_class = _Route
    describe = app.openapi
    app.openapi = lambda: _as_answered(describe())  # type: ignore[method-assign]
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(_Conventions, name=name)
    return app


class _Route(APIRoute):
    """Calls a function in place, for which FastAPI would start a thread at each request.

    While it waits nothing else does: an environment of Lambda has one request at a time.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        @wraps(endpoint)
        async def called_in_place(**values: Any) -> Any:
            return endpoint(**values)

        super().__init__(path, called_in_place, **options)


def _as_answered(document: dict[str, Any]) -> dict[str, Any]:
    """Correct what FastAPI supposes of errors: all are problems, a failed validation too."""
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            content = operation["responses"]["default"]["content"]
            if "application/json" in content:
                content["application/problem+json"] = content.pop("application/json")
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    return document


def json_answer(body: Model, headers: Mapping[str, str] | None = None, status: int = 200) -> "RawJson":
    """Return a model as the answer, serialised once and by pydantic alone."""
    return RawJson(body.model_dump_json(by_alias=True), status, headers=dict(headers or {}))


class RawJson(JSONResponse):
    """A JSON answer whose text is ready."""

    def render(self, content: str) -> bytes:
        """Encode the text."""
        return content.encode()


class _Conventions:
    """Outermost: makes one path of the two, gives the answer its id and timings, and lets no exception out."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._name = name
        self._prefix = f"/api/{name}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        invocation = _begin(scope, self._name)
        path = scope["path"]
        if path == self._prefix or path.startswith(f"{self._prefix}/"):
            path = path[len(self._prefix) :]
        scope["path"] = path or "/"
        scope["request_id"] = invocation.request_id
        status: int | None = None
        refused = False

        async def label(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _tell_usage(scope, invocation, self._name, message["status"])
                more = {
                    "x-request-id": invocation.request_id,
                    "server-timing": invocation.server_timing(),
                    **invocation.headers,
                }
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in more.items()),
                ]
            await send(message)

        async def finish(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and (error := _raised_aside(invocation, message["status"])):
                refused = True
                await _refusal(error, invocation.request_id)(scope, receive, label)
            elif not refused:
                await label(message)

        try:
            await self._app(scope, receive, finish)
        except Exception as error:  # the last place to answer from
            log("unhandled_error", level=40, error=error)
            if status is None:
                await _answer(AppError("internal_error"), invocation.request_id)(scope, receive, finish)
        finally:
            usage.wait_until_sent()
            end(invocation, status)


def _tell_usage(scope: Scope, invocation: Invocation, function: str, status: int) -> None:
    """Tell how the request went; nothing that goes wrong with it shall be felt by the client."""
    try:
        memory = int(getattr(scope.get("aws.context"), "memory_limit_in_mb", 0))
        usage.tell(invocation, function, status, memory)
    except AppError as error:  # of the settings; the request has been answered with the same
        log("usage_not_recorded", code=error.code)
    except Exception as error:
        log("usage_not_recorded", level=40, error=error)


def _raised_aside(invocation: Invocation, status: int) -> AppError | None:
    """Return what speaks against an answer of this status; against one that says we failed nothing does."""
    wait, invocation.aside = invocation.aside, None
    try:
        if wait:
            wait()
    except AppError as error:
        return error if status < 500 else None
    except Exception as error:
        log("unhandled_error", level=40, error=error)
        return AppError("internal_error") if status < 500 else None
    return None


def _begin(scope: Scope, function: str) -> Invocation:
    headers = dict(scope["headers"])
    context = scope.get("aws.context")
    own = getattr(context, "aws_request_id", None)
    given = {name: headers.get(name, b"").decode("latin-1") for name in _TOLD}
    request_id = given[b"x-request-id"]
    if not _REQUEST_ID.fullmatch(request_id):
        request_id = own or str(uuid.uuid4())
    usage.begin()
    remaining = context.get_remaining_time_in_millis() / 1000 if context else _SECONDS_WITHOUT_LAMBDA
    trace = Trace.of_traceparent(given[b"traceparent"])
    invocation = begin(request_id, remaining, function=function, invocation_id=own, trace=trace)
    if (size := given[b"content-length"]).isdecimal():
        measure("BytesIn", int(size))
    return invocation


def _answer(error: AppError, request_id: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    usage.refused(error.code)
    named: MutableMapping[str, str] = dict(headers or {})
    if error.retry_after is not None:
        named["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        named["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        error.to_problem(request_id), error.status, headers=named, media_type="application/problem+json"
    )


async def _app_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)
    return _refusal(error, request.scope["request_id"])


def _refusal(error: AppError, request_id: str) -> JSONResponse:
    ours = error if error.status >= 500 else None
    log("refused", level=severity(ours), error=ours, code=error.code, status=error.status)
    return _answer(error, request_id)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_json")
    return _answer(AppError(code), request.scope["request_id"], error.headers)


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    code = "validation_failed"
    if any(one["type"] == "json_invalid" for one in found):
        code = "invalid_json"
    elif any(one["loc"] == ("body",) and isinstance(one.get("input"), bytes) for one in found):
        code = "unsupported_media_type"
    # Each place begins with `body`, `query` or the like, which says nothing where a path follows.
    placed = [{**one, "loc": one["loc"][1:] or one["loc"]} for one in found[:_PATHS_SHOWN]]
    errors = field_errors(placed) if code == "validation_failed" else None
    log("refused", code=code, status=PROBLEMS[code].status)
    return _answer(AppError(code, errors=errors), request.scope["request_id"])


def checked_idempotency_key(key: str | None) -> str | None:
    """Return the key of the header; raises `invalid_idempotency_key`."""
    if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise AppError("invalid_idempotency_key")
    return key


def expected_version(if_match: str | None) -> int | None:
    """Return the version an If-Match names: `"3"`, or an ETag that begins with it; raises `invalid_precondition`."""
    if if_match is None:
        return None
    match = re.fullmatch(r'(?:W/)?"?(\d{1,9})(?:-[0-9a-f]+)?"?', if_match.strip())
    if match is None:
        raise AppError("invalid_precondition")
    return int(match[1])


def etag_matches(if_none_match: str | None, etag: str) -> bool:
    """Compare weakly, as RFC 9110 asks for If-None-Match."""
    candidates = (if_none_match or "").split(",")
    return any(one.strip().removeprefix("W/") in (etag, "*") for one in candidates)


def request_hash(body: Model) -> str:
    """Return the SHA-256 of a request's meaning, hexadecimal: what an Idempotency-Key is bound to."""
    canonical = json.dumps(body.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
