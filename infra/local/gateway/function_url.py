"""Function URLs over ASGI: a request in, an invocation, a response out."""

import asyncio
import re
import time
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from infra.local.gateway.configuration import Function, Service
from infra.local.gateway.cors import is_preflight
from infra.local.gateway.environment import Invocation
from infra.local.gateway.environments import Environments
from infra.local.gateway.errors import PAYLOAD_LIMIT, FunctionFailedError, GatewayError, PayloadTooLargeError
from infra.local.gateway.events import Headers, HttpRequest, HttpResponse, from_result, serialise, to_event
from infra.local.gateway.logs import log

# Bytes of a body that is too large which are read and thrown away, so that its sender sees the answer.
DISCARD_LIMIT = 64 << 20
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")  # what the functions take for one


class FunctionUrls:
    """The ASGI app for all paths that begin with a function's name, the path parameter `function`."""

    def __init__(self, service: Service, environments: Environments) -> None:
        self._service = service
        self._environments = environments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; one whose sender leaves before it is complete is not answered."""
        request = Request(scope, receive)
        function = self._service.url_functions.get(request.path_params["function"])
        if function is None:
            await JSONResponse({"Message": "No such function; / lists them."}, 404)(scope, receive, send)
            return
        try:
            response = await self._answer(request, function)
        except ClientDisconnect:
            return
        await _to_starlette(response)(scope, receive, send)

    async def _answer(self, request: Request, function: Function) -> HttpResponse:
        headers = _decoded(request.scope["headers"])
        origin = next((value for name, value in headers if name == "origin"), None)
        if function.cors and is_preflight(request.method, headers):
            return HttpResponse(200, function.cors.preflight_headers(origin), b"")
        started = time.perf_counter()
        response, problem, ids = await self._invoke(request, function)
        milliseconds = (time.perf_counter() - started) * 1000
        # What follows the function's name is not written down: it may hold the token of a share link.
        line = f"{request.method} /api/{function.name} {response.status} {milliseconds:.0f} ms {problem}"
        log(function.name, line.rstrip(), **ids)
        return response.with_headers(function.cors.response_headers(origin)) if function.cors else response

    async def _invoke(self, request: Request, function: Function) -> tuple[HttpResponse, str, Mapping[str, str | None]]:
        """The response, and for the log what went wrong, and under which ids."""
        given = _REQUEST_ID.fullmatch(request.headers.get("x-request-id", ""))
        try:
            incoming = await _read(request)
        except PayloadTooLargeError as error:
            return _refusal(error), "the request is too large", {"requestId": given and given[0]}
        told = {"requestId": given[0] if given else incoming.request_id, "invocationId": incoming.request_id}
        return *await self._run(incoming, function, request.method), told

    async def _run(self, incoming: HttpRequest, function: Function, method: str) -> tuple[HttpResponse, str]:
        ids = [("x-amzn-requestid", incoming.request_id), ("x-amzn-trace-id", incoming.trace_id)]
        try:
            event = serialise(to_event(incoming, function.name))
            invocation = Invocation(event, incoming.request_id, incoming.trace_id)
            result = await self._environments.invoke(function, invocation)
            return from_result(result, method).with_missing_headers(ids), ""
        except GatewayError as error:
            return _refusal(error).with_headers(ids), str(error) or error.error_type
        except asyncio.CancelledError:  # the server has waited long enough for its shutdown
            return _refusal(FunctionFailedError()).with_headers(ids), "the gateway stops"


async def _read(request: Request) -> HttpRequest:
    scope = request.scope
    return HttpRequest(
        method=request.method,
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=_decoded(scope["headers"]),
        body=await _read_body(request),
        source_ip=scope["client"][0],
        scheme=scope["scheme"],
        port=scope["server"][1],
        protocol=f"HTTP/{scope['http_version']}",
    )


async def _read_body(request: Request) -> bytes:
    """The body; `PayloadTooLargeError` where it alone exceeds the limit, and then it is not kept in memory."""
    announced = int(request.headers.get("content-length", 0))
    if announced > PAYLOAD_LIMIT and "expect" in request.headers:
        raise PayloadTooLargeError
    body = bytearray()
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received <= PAYLOAD_LIMIT:
            body += chunk
        elif received > DISCARD_LIMIT:
            break
    if received > PAYLOAD_LIMIT:
        raise PayloadTooLargeError
    return bytes(body)


def _decoded(headers: list[tuple[bytes, bytes]]) -> Headers:
    return [(name.decode("latin-1").lower(), _text(value)) for name, value in headers]


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _bytes(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()


def _refusal(error: GatewayError) -> HttpResponse:
    headers = [("content-type", "application/json"), ("x-amzn-errortype", error.error_type)]
    return HttpResponse(error.status, headers, error.body.encode())


def _to_starlette(response: HttpResponse) -> Response:
    answer = Response(response.body, response.status)
    length = [header for header in answer.raw_headers if header[0] == b"content-length"]
    given = [(name.encode("latin-1"), _bytes(value)) for name, value in response.headers]
    answer.raw_headers = given if any(name == b"content-length" for name, _ in given) else given + length
    return answer
