"""The events that functions get from the gateway, and what it makes of their results."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.infra.gateway_functions import RunningGateway, make_task_root, running_gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    root = make_task_root(tmp_path_factory.mktemp("task_root"))
    with running_gateway(root) as running:
        yield running


@pytest.fixture
def client(gateway: RunningGateway) -> httpx.Client:
    return gateway.client


def echoed(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    event: dict[str, Any] = response.json()["event"]
    return event


def given(client: httpx.Client, result: object, method: str = "POST") -> httpx.Response:
    return client.request(method, "/api/probe/give", json=result)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_every_method_reaches_the_function(client: httpx.Client, method: str) -> None:
    context = echoed(client.request(method, "/api/probe/echo"))["requestContext"]
    assert context["http"]["method"] == method


def test_head_is_answered_without_a_body_but_with_its_length(client: httpx.Client) -> None:
    response = given(client, {"statusCode": 200, "body": "é"}, "HEAD")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "2"


def test_path_and_query_arrive_as_they_were_asked_for(client: httpx.Client) -> None:
    event = echoed(client.get("/api/probe/a%20b/%C3%A9/echo?x=1&y=&x=%C3%A9%2C2&z=a+b"))
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/api/probe/a%20b/%C3%A9/echo"
    assert event["rawQueryString"] == "x=1&y=&x=%C3%A9%2C2&z=a+b"
    assert event["queryStringParameters"] == {"x": "1,é,2", "y": "", "z": "a b"}


def test_headers_are_joined_and_cookies_are_listed(client: httpx.Client) -> None:
    headers = [("X-Tag", "a"), ("x-tag", "b"), ("Cookie", "one=1; two=2"), ("User-Agent", "tests")]
    event = echoed(client.get("/api/probe/echo", headers=headers))
    assert event["headers"]["x-tag"] in ("a,b", "a, b")
    assert event["cookies"] == ["one=1", "two=2"]
    assert "cookie" not in event["headers"]
    assert event["requestContext"]["http"]["userAgent"] == "tests"


def test_header_values_may_be_utf_8_or_latin_1(client: httpx.Client) -> None:
    headers = {b"x-utf": "naïve ☃".encode(), b"x-latin": "naïve".encode("latin-1")}
    event = echoed(client.get("/api/probe/echo", headers=headers))
    assert (event["headers"]["x-utf"], event["headers"]["x-latin"]) == ("naïve ☃", "naïve")


def test_the_source_address_is_that_of_the_connection(client: httpx.Client) -> None:
    event = echoed(client.get("/api/probe/echo", headers={"x-forwarded-for": "203.0.113.9"}))
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    assert event["headers"]["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert event["headers"]["x-forwarded-port"] == str(client.base_url.port)


def test_the_event_has_the_form_that_lambda_documents(client: httpx.Client) -> None:
    response = client.get("/api/probe/echo")
    event = echoed(response)
    context = event["requestContext"]
    assert (event["version"], event["routeKey"], event["isBase64Encoded"]) == ("2.0", "$default", False)
    assert not {"body", "cookies", "queryStringParameters"} & event.keys()
    assert (context["accountId"], context["stage"], context["apiId"]) == ("anonymous", "$default", "probe")
    assert context["domainName"] == event["headers"]["host"]
    assert context["requestId"] == response.headers["x-amzn-requestid"]
    assert response.headers["x-amzn-trace-id"] == event["headers"]["x-amzn-trace-id"]


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json; charset=utf-8", '{"é": 1}'.encode(), ('{"é": 1}', False)),
        ("text/plain", b"a\0b", ("a\0b", False)),
        ("application/xml", b"<a/>", ("<a/>", False)),
        ("application/json", b"\xff\xfe", ("//4=", True)),
        ("application/octet-stream", b"abc", ("YWJj", True)),
        ("image/png", b"\x89PNG", ("iVBORw==", True)),
        ("application/x-www-form-urlencoded", b"a=1", ("YT0x", True)),
        (None, b"abc", ("YWJj", True)),
    ],
)
def test_text_bodies_stay_text_and_others_become_base64(
    client: httpx.Client, content_type: str | None, body: bytes, expected: tuple[str, bool]
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    event = echoed(client.post("/api/probe/echo", content=body, headers=headers))
    assert (event["body"], event["isBase64Encoded"]) == expected


def test_status_headers_and_cookies_of_the_result_are_sent(client: httpx.Client) -> None:
    result = {"statusCode": "418", "headers": {"X-Tea": "é", "X-Count": 2}, "cookies": ["a=1", "b=2"], "body": "é"}
    response = given(client, result)
    assert response.status_code == 418
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert (response.headers["x-tea"], response.headers["x-count"]) == ("é", "2")
    assert (response.headers["content-type"], response.content) == ("application/json", "é".encode())


def test_a_base64_body_is_decoded(client: httpx.Client) -> None:
    result = {"statusCode": 200, "headers": {"Content-Type": "image/png"}, "body": "iVBORw==", "isBase64Encoded": True}
    response = given(client, result)
    assert (response.headers["content-type"], response.content) == ("image/png", b"\x89PNG")


@pytest.mark.parametrize(
    ("result", "body"),
    [({"a": [1, "é"]}, '{"a":[1,"é"]}'), (["a", 1], '["a",1]'), ("text", "text"), (None, "null"), (3.5, "3.5")],
)
def test_a_result_without_status_is_the_body(client: httpx.Client, result: object, body: str) -> None:
    headers = {"content-type": "application/json"}
    response = client.post("/api/probe/give", content=json.dumps(result), headers=headers)
    assert (response.status_code, response.text) == (200, body)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_content_have_no_body(client: httpx.Client, status: int) -> None:
    response = given(client, {"statusCode": status, "headers": {"ETag": '"1"'}, "body": "ignored"})
    assert (response.status_code, response.content, response.headers["etag"]) == (status, b"", '"1"')


def test_a_length_that_the_function_claims_is_not_believed(client: httpx.Client) -> None:
    headers = {"Content-Length": "1000", "Transfer-Encoding": "chunked", "Connection": "close"}
    response = given(client, {"statusCode": 200, "headers": headers, "body": "abc"})
    assert (response.content, response.headers["content-length"]) == (b"abc", "3")


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "teapot"},
        {"statusCode": 99},
        {"statusCode": None},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"a": {}}},
        {"statusCode": 200, "headers": {"a b": "c"}},
        {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
        {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "body": "?", "isBase64Encoded": True},
    ],
)
def test_a_result_that_is_no_response_is_a_bad_gateway(client: httpx.Client, result: object) -> None:
    response = given(client, result)
    assert (response.status_code, response.text) == (502, "Internal Server Error")
