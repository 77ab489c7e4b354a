"""What a client sees of functions behind the gateway."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.gateway.errors import PAYLOAD_LIMIT
from tests.infra.gateway_functions import RunningGateway, make_task_root, running_gateway

ORIGIN = "https://app.example"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    root = make_task_root(tmp_path_factory.mktemp("task_root"))
    with running_gateway(root, ALREADY_SET="from the process") as running:
        yield running


@pytest.fixture
def client(gateway: RunningGateway) -> httpx.Client:
    return gateway.client


def echoed(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    event: dict[str, Any] = response.json()["event"]
    return event


def test_health_answers_without_a_function(client: httpx.Client) -> None:
    assert client.get("/health").status_code == 200


def test_the_index_links_the_functions_that_have_a_url(client: httpx.Client) -> None:
    page = client.get("/functions")
    assert page.headers["content-type"].startswith("text/html")
    assert 'href="/api/probe"' in page.text
    assert "worker" not in page.text


@pytest.mark.parametrize("name", ["nothing", "worker", ""])
def test_what_has_no_url_is_not_found(client: httpx.Client, name: str) -> None:
    assert client.get(f"/api/{name}").status_code == 404


@pytest.mark.parametrize("rest", ["/a%0Ab", "/%0A", "%0A/x", "/a%0D%0Ab/c"])
def test_a_path_with_line_breaks_reaches_its_function_or_none(client: httpx.Client, rest: str) -> None:
    answer = client.get(f"/api/probe{rest}")
    assert answer.headers["content-type"].startswith("application/json"), answer.text


def test_an_upload_that_breaks_off_is_no_error(gateway: RunningGateway) -> None:
    host, port = gateway.client.base_url.host, gateway.client.base_url.port
    with socket.create_connection((host, port or 80)) as connection:
        connection.sendall(b"POST /api/probe/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
    echoed(gateway.client.get("/api/probe/echo"))
    assert "ClientDisconnect" not in gateway.log


def test_a_request_is_accepted_up_to_the_last_byte_of_the_limit(client: httpx.Client) -> None:
    def post(length: int) -> httpx.Response:
        headers = {"content-type": "text/plain", "x-amzn-trace-id": "fixed"}
        return client.post("/api/probe/echo", content=b"x" * length, headers=headers)

    overhead = post(6_000_000).json()["size"] - 6_000_000
    assert post(PAYLOAD_LIMIT - overhead).json()["size"] == PAYLOAD_LIMIT
    refused = post(PAYLOAD_LIMIT - overhead + 1)
    assert refused.status_code == 413
    message = "Request must be smaller than 6291556 bytes for the InvokeFunction operation"
    assert refused.json() == {"Message": message}


def test_base64_counts_against_the_limit(client: httpx.Client) -> None:
    headers = {"content-type": "image/png"}
    assert client.post("/api/probe/echo", content=b"x" * 4_700_000, headers=headers).status_code == 200
    assert client.post("/api/probe/echo", content=b"x" * 4_800_000, headers=headers).status_code == 413


def test_a_body_far_above_the_limit_is_refused_with_cors(client: httpx.Client) -> None:
    response = client.post("/api/probe/echo", content=b"x" * 20_000_000, headers={"origin": ORIGIN})
    assert response.status_code == 413
    assert response.headers["access-control-allow-origin"] == ORIGIN


def test_a_client_that_waits_for_permission_to_send_too_much_is_refused_at_once(client: httpx.Client) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.base_url.port, timeout=30)
    connection.putrequest("POST", "/api/probe/echo")
    connection.putheader("Content-Length", "20000000")
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_result_is_accepted_up_to_the_last_byte_of_the_limit(client: httpx.Client) -> None:
    accepted = client.get("/api/probe/fill", params={"bytes": PAYLOAD_LIMIT})
    assert (accepted.status_code, len(accepted.content)) == (200, PAYLOAD_LIMIT - 2)
    assert client.get("/api/probe/fill", params={"bytes": PAYLOAD_LIMIT + 1}).status_code == 502


def test_a_preflight_is_answered_without_the_function(client: httpx.Client) -> None:
    asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
    response = client.options("/api/probe/fail", headers=asked)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-methods"] == "GET,POST"
    assert response.headers["access-control-allow-headers"] == "Content-Type,X-Api-Key"
    assert response.headers["access-control-max-age"] == "600"
    assert "access-control-allow-credentials" not in response.headers


def test_an_answer_to_an_allowed_origin_says_so(client: httpx.Client) -> None:
    response = client.get("/api/probe/echo", headers={"origin": ORIGIN})
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-expose-headers"] == "ETag"
    assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize("headers", [{}, {"origin": "https://other.example"}])
def test_other_origins_get_no_cors_headers(client: httpx.Client, headers: dict[str, str]) -> None:
    asked = {**headers, "access-control-request-method": "GET"}
    for response in (client.get("/api/probe/echo", headers=headers), client.options("/api/probe/echo", headers=asked)):
        assert response.status_code == 200
        assert not [name for name in response.headers if name.startswith("access-control-")]


def test_without_cors_configuration_the_function_answers_preflights(client: httpx.Client) -> None:
    asked = {"origin": ORIGIN, "access-control-request-method": "GET"}
    response = client.options("/api/hasty/echo", headers=asked)
    assert echoed(response)["requestContext"]["http"]["method"] == "OPTIONS"
    assert "access-control-allow-origin" not in response.headers


def test_an_origin_is_echoed_where_all_are_allowed(client: httpx.Client) -> None:
    response = client.post("/api/pets", json={}, headers={"origin": "https://any.example"})
    assert response.status_code == 422
    assert response.headers["access-control-allow-origin"] == "https://any.example"


def test_cors_headers_of_the_function_itself_are_duplicates_as_on_aws(client: httpx.Client) -> None:
    result = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}}
    response = client.post("/api/probe/give", json=result, headers={"origin": ORIGIN})
    assert response.headers.get_list("access-control-allow-origin") == ["*", ORIGIN]


def test_a_fastapi_app_answers_through_mangum(client: httpx.Client) -> None:
    box = {"item": {"species": "cat"}, "owner": {"name": "Ann"}}
    response = client.post("/api/pets", json=box)
    assert (response.status_code, response.json()) == (200, box)


def test_one_document_describes_all_functions(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {"/api/pets", "/api/people", "/api/people/{number}"}
    schemas = document["components"]["schemas"]
    assert {"Owner", "Item", "Box", "people.Item", "people.Box"} <= set(schemas)
    assert "people.Owner" not in schemas
    assert schemas["people.Box"]["properties"]["item"] == {"$ref": "#/components/schemas/people.Item"}
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) == 3


def test_the_handler_sees_the_variables_and_context_of_lambda(client: httpx.Client) -> None:
    response = client.get("/api/probe/about")
    seen = response.json()
    variables, context = seen["variables"], seen["context"]
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == context["function_name"] == "probe"
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == context["memory_limit_in_mb"] == "512"
    assert variables["AWS_LAMBDA_FUNCTION_VERSION"] == context["function_version"] == "$LATEST"
    assert variables["_HANDLER"] == "functions.probe.handler.handler"
    assert Path(variables["LAMBDA_TASK_ROOT"]) == Path(seen["folder"])
    assert (variables["FROM_PROVIDER"], variables["ALREADY_SET"]) == ("provider", "from the process")
    assert context["aws_request_id"] == response.headers["x-amzn-requestid"]
    assert context["invoked_function_arn"].endswith(":function:probe")
    assert (context["client_context"], context["identity"]) == (None, None)
    assert 0 < seen["remaining"] <= 30_000


def test_what_a_function_prints_goes_to_the_log_after_its_name(gateway: RunningGateway) -> None:
    assert gateway.client.get("/api/probe/say").status_code == 200
    gateway.client.get("/api/probe/say")
    assert "[probe] printed by the handler\n" in gateway.log
    assert "[probe] printed by a program\n" in gateway.log


def test_what_a_full_disk_keeps_out_of_the_log_fails_no_request(tmp_path: Path) -> None:
    root = make_task_root(tmp_path)
    (root / "gateway.log").symlink_to("/dev/full")
    with running_gateway(root, GATEWAY_LOG="/dev/full") as gateway:
        for action in ("say", "chatter", "about"):
            assert gateway.client.get(f"/api/probe/{action}").status_code == 200, action


def test_an_exception_is_a_bad_gateway_and_its_reason_stays_in_the_log(gateway: RunningGateway) -> None:
    response = gateway.client.get("/api/probe/fail", headers={"origin": ORIGIN})
    assert (response.status_code, response.text) == (502, "Internal Server Error")
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert gateway.client.get("/api/probe/about").status_code == 200
    assert "[probe] ValueError: a reason for the log only" in gateway.log


def test_a_result_that_json_cannot_hold_is_a_bad_gateway(client: httpx.Client) -> None:
    assert client.get("/api/probe/unserialisable").status_code == 502


def test_json_that_no_text_can_hold_is_a_bad_gateway(client: httpx.Client) -> None:
    body = json.dumps({"statusCode": 200, "body": "\ud800"})
    response = client.post("/api/probe/give", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 502
