"""An HTTP request as the event of a function URL (payload format 2.0), and a function's result as a response.

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from infra.local.gateway.errors import PAYLOAD_LIMIT, FunctionFailedError, PayloadTooLargeError

Headers = list[tuple[str, str]]

HOP_BY_HOP = {
    "connection",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_TEXT_TYPE = re.compile(r"text/|.*(json|xml|javascript)")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BODILESS = {204, 205, 304}


@dataclass(frozen=True)
class HttpRequest:
    """A request as it came in: `path` and `query` still percent-encoded, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    source_ip: str
    scheme: str = "http"
    port: int = 80
    protocol: str = "HTTP/1.1"
    received: datetime = field(default_factory=lambda: datetime.now(UTC))
    request_id: str = field(default_factory=lambda: str(uuid4()))

    def header(self, name: str) -> str | None:
        """The first header of that lower-case name."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def trace_id(self) -> str:
        """The X-Ray trace id: the client's, else one made from the time and the request id."""
        root = f"Root=1-{int(self.received.timestamp()):08x}-{self.request_id.replace('-', '')[:24]}"
        return self.header("x-amzn-trace-id") or root


@dataclass(frozen=True)
class HttpResponse:
    """A response as it goes out; header names are in lower case."""

    status: int
    headers: Headers
    body: bytes

    def with_headers(self, headers: Headers) -> "HttpResponse":
        """The response with more headers, even where it has some of those names."""
        return replace(self, headers=self.headers + headers)

    def with_missing_headers(self, headers: Headers) -> "HttpResponse":
        """The response with those of the headers whose names it does not have."""
        own = {name for name, _ in self.headers}
        return self.with_headers([(name, value) for name, value in headers if name not in own])


def serialise(event: Mapping[str, object]) -> bytes:
    """The event as JSON; `PayloadTooLargeError` where Lambda would not take it."""
    payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    if len(payload) > PAYLOAD_LIMIT:
        raise PayloadTooLargeError
    return payload


def to_event(request: HttpRequest, function: str) -> dict[str, object]:
    """The event that the URL of `function` makes of a request."""
    event: dict[str, object] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": _event_headers(request),
        "requestContext": _request_context(request, function),
        **_event_body(request),
    }
    if cookies := _cookies(request):
        event["cookies"] = cookies
    if request.query:
        event["queryStringParameters"] = _joined(parse_qsl(request.query, keep_blank_values=True))
    return event


def from_result(payload: bytes, method: str) -> HttpResponse:
    """The response that a function's JSON result describes; `FunctionFailedError` where it describes none.

    A result without a status code is the body of a 200 answer itself.
    """
    result = json.loads(payload)
    if not isinstance(result, dict) or "statusCode" not in result:
        return HttpResponse(200, [("content-type", "application/json")], _text_or_json(result))
    status = _status(result["statusCode"])
    headers = _response_headers(result.get("headers")) + _set_cookies(result.get("cookies"))
    body = _response_body(result)
    if method == "HEAD":
        return HttpResponse(status, headers, b"").with_missing_headers([("content-length", str(len(body)))])
    headers = [(name, value) for name, value in headers if name != "content-length"]
    if status in _BODILESS:
        return HttpResponse(status, headers, b"")
    return HttpResponse(status, headers, body).with_missing_headers([("content-type", "application/json")])


def _event_headers(request: HttpRequest) -> dict[str, str]:
    headers = _joined((name, value) for name, value in request.headers if name not in HOP_BY_HOP | {"cookie"})
    forwarded = headers.get("x-forwarded-for")
    return headers | {
        "x-amzn-trace-id": request.trace_id,
        "x-forwarded-for": f"{forwarded}, {request.source_ip}" if forwarded else request.source_ip,
        "x-forwarded-port": str(request.port),
        "x-forwarded-proto": request.scheme,
    }


def _cookies(request: HttpRequest) -> list[str]:
    values = (value for name, value in request.headers if name == "cookie")
    return [cookie.strip() for value in values for cookie in value.split(";") if cookie.strip()]


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: ",".join(all_values) for name, all_values in values.items()}


def _request_context(request: HttpRequest, function: str) -> dict[str, object]:
    domain = request.header("host") or ""
    return {
        "accountId": "anonymous",
        "apiId": function,
        "domainName": domain,
        "domainPrefix": domain.partition(".")[0],
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": request.header("user-agent") or "",
        },
        "requestId": request.request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": request.received.strftime("%d/%b/%Y:%H:%M:%S %z"),
        "timeEpoch": int(request.received.timestamp() * 1000),
    }


def _event_body(request: HttpRequest) -> dict[str, object]:
    """Text types go as they are, everything else in base64, and so does text that is not UTF-8."""
    if not request.body:
        return {"isBase64Encoded": False}
    if _TEXT_TYPE.match((request.header("content-type") or "").lower()):
        try:
            return {"body": request.body.decode(), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(request.body).decode(), "isBase64Encoded": True}


def _status(code: object) -> int:
    try:
        status = int(code) if isinstance(code, int | str) else 0
    except ValueError:
        status = 0
    if not 200 <= status <= 599:
        raise FunctionFailedError(f"the result's statusCode is {code!r}")
    return status


def _response_headers(headers: object) -> Headers:
    if headers is None:
        return []
    if not isinstance(headers, dict):
        raise FunctionFailedError("the result's headers are not an object")
    return [
        (name.lower(), _header_value(name, value)) for name, value in headers.items() if name.lower() not in HOP_BY_HOP
    ]


def _header_value(name: str, value: object) -> str:
    text = json.dumps(value) if isinstance(value, bool | int | float) else value
    if not isinstance(text, str) or not _HEADER_NAME.fullmatch(name) or re.search(r"[\r\n\0]", text):
        raise FunctionFailedError(f"the result's header {name!r} is not valid")
    return text.strip()


def _set_cookies(cookies: object) -> Headers:
    if not isinstance(cookies, list | None):
        raise FunctionFailedError("the result's cookies are not a list")
    return [("set-cookie", _header_value("set-cookie", cookie)) for cookie in cookies or []]


def _response_body(result: Mapping[str, Any]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not result.get("isBase64Encoded"):
        return _text_or_json(body)
    try:
        return base64.b64decode(body, validate=True)
    except (TypeError, ValueError):
        raise FunctionFailedError("the result's body is not base64") from None


def _text_or_json(value: object) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode()
