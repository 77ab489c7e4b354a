"""Requests that nobody sends by mistake, to every function that takes a body: refused clearly, by no error of ours."""

import gzip
import json
from collections.abc import Callable

import pytest

from infra.local.gateway.configuration import Service
from infra.local.state import TOP
from tests.client import Answer, event, invoke
from tests.people import User

DOCUMENT = json.loads((TOP / "infra" / "openapi.json").read_text())
# Who proves itself with a secret, and the page, which takes a form.
OTHERS = {"storage_webhook", "watch"}
TAKE_BODIES = sorted(
    (path.split("/")[2], method.upper())
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    if "requestBody" in operation and path.split("/")[2] not in OTHERS
)

BODIES: dict[str, bytes] = {
    "deep arrays": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a deep field": b'{"frames":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "a number of many digits": b'{"frames": ' + b"9" * 10_000 + b"}",
    "a number without end": b'{"frameId": 1e999999, "videoDuration": 1e400}',
    "not a number": b'{"frames": NaN, "videoDuration": Infinity, "frameId": -Infinity}',
    "the same key often": b'{"frames": [], "frames": 1, ' + b'"frames": "x", ' * 1_000 + b'"frames": null}',
    "a lone surrogate": b'{"name": "\\ud800", "originalPrompt": "\\udfff", "imageData": "\\ud800"}',
    "a lone surrogate as key": b'{"\\ud800": 1}',
    "bytes that are no UTF-8": b'{"name": "\xff\xfe\xc0\x80"}',
    "UTF-16": '{"x": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "a zero character": b'{"name": "\\u0000", "sessionId": "\\u0000"}',
    "half": b'{"frames": [{"frameId": 1, "imageUrl": "https://',
    "compressed": gzip.compress(b'{"name": "x"}'),
    "nothing": b"",
    "null": b"null",
    "a text": b'"x"',
    "a list": b"[1, 2, 3]",
    "many keys": json.dumps({f"key {number}": number for number in range(50_000)}).encode(),
    "keys of objects' innards": b'{"__proto__": {"isAdmin": true}, "constructor": 1, "__class__": "x"}',
}
CONTENT_TYPES = [
    "", "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "application/json; charset=utf-16", "application/json; " + "x=y; " * 2_000, "*/*", "application/JSON;;;", "é",
]  # fmt: skip


def assert_refused(answer: Answer) -> None:
    assert 400 <= answer.status < 500, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json["requestId"]
    assert len(answer.body) < 20_000, "nothing large comes back"


def send(user: User, function: str, method: str, body: bytes, **headers: str) -> Answer:
    named = {"Authorization": f"Bearer {user.token}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return invoke(function, event(method, f"/api/{function}", headers=named, body=body))


@pytest.mark.parametrize(("function", "method"), TAKE_BODIES, ids=lambda part: part)
def test_any_body_is_refused_clearly(alice: User, function: str, method: str) -> None:
    for name, body in BODIES.items():
        answer = send(alice, function, method, body)
        # Fields that a function does not know do not disturb it.
        if answer.status >= 400 or name not in ("a byte order mark", "many keys", "keys of objects' innards"):
            assert_refused(answer)


@pytest.mark.parametrize(("function", "method"), TAKE_BODIES, ids=lambda part: part)
def test_any_content_type_is_understood_or_refused(alice: User, function: str, method: str) -> None:
    for kind in CONTENT_TYPES:
        assert_refused(send(alice, function, method, b'{"x": 1}', content_type=kind))


@pytest.mark.parametrize(("function", "method"), TAKE_BODIES, ids=lambda part: part)
def test_a_compressed_body_is_no_way_to_send_more_than_is_allowed(alice: User, function: str, method: str) -> None:
    bomb = gzip.compress(b'{"x": "' + b"0" * 50_000_000 + b'"}')
    assert_refused(send(alice, function, method, bomb, content_encoding="gzip"))


HEADERS: dict[str, Callable[[], str]] = {
    "authorization": lambda: "Bearer " + "x" * 100_000,
    "x-api-key": lambda: "vm_" + "x" * 100_000,
    "if-none-match": lambda: ", ".join(['"x"'] * 20_000),
    "if-match": lambda: '"' * 50_000,
    "x-request-id": lambda: "../" * 10_000,
    "idempotency-key": lambda: "k" * 100_000,
    "cookie": lambda: "a=b; " * 20_000,
    "x-forwarded-for": lambda: "1.2.3.4, " * 20_000,
    "accept": lambda: "text/html;q=0.1," * 10_000,
}


@pytest.mark.parametrize("header", HEADERS)
def test_any_header_is_answered(alice: User, header: str) -> None:
    for function in Service(TOP / "serverless.yml").url_functions:
        given = {"authorization": f"Bearer {alice.token}"} | {header: HEADERS[header]()}
        answer = invoke(function, event("GET", f"/api/{function}", headers=given))
        assert answer.status < 500, (function, answer.text)
        assert len(answer.headers["x-request-id"]) <= 128
