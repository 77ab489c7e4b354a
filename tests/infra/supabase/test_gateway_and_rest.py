"""The local gateway and Data API: API keys, CORS, streaming, outages."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from infra.local.stack import Stack

Database = psycopg.Connection[Any]


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.info["supabaseUrl"], timeout=30) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def functions(stack: Stack) -> Iterator[None]:
    """Database functions that tell who calls them, and send back or make long texts."""
    with psycopg.connect(stack.superuser_url, autocommit=True) as connection:
        connection.execute(
            """
            create or replace function public.test_role() returns text language sql as 'select auth.role()';
            create or replace function public.test_length(content text) returns integer language sql
              as 'select length(content)';
            create or replace function public.test_repeat(size integer) returns text language sql
              as $$select repeat('x', size)$$;
            notify pgrst, 'reload schema';
            """
        )
    url = f"{stack.info['supabaseUrl']}/rest/v1/rpc/test_repeat?size=1"
    transport = httpx.HTTPTransport(retries=3)
    with httpx.Client(transport=transport, headers={"apikey": stack.keys.service_key}) as client:
        while client.get(url).status_code == 404:
            pass
    yield
    with psycopg.connect(stack.superuser_url, autocommit=True) as connection:
        connection.execute("drop function public.test_role(), public.test_length(text), public.test_repeat(integer)")


def role(http: httpx.Client, query: str = "", **headers: str) -> Any:
    return http.get(f"/rest/v1/rpc/test_role{query}", headers=headers).json()


def test_every_kind_of_api_key_stands_for_its_role(stack: Stack, http: httpx.Client) -> None:
    keys = stack.keys

    assert role(http, apikey=keys.anon_key) == "anon"
    assert role(http, apikey=keys.service_key) == "service_role"
    assert role(http, apikey=keys.publishable_key) == "anon"
    assert role(http, apikey=keys.secret_key) == "service_role"
    assert role(http, apikey=keys.secret_key, authorization=f"Bearer {keys.secret_key}") == "service_role"
    assert role(http, f"?apikey={keys.publishable_key}") == "anon"


def test_a_users_token_goes_before_the_api_key(stack: Stack, http: httpx.Client) -> None:
    claims = {"role": "authenticated"}
    for token in (stack.keys.sign(claims, "ES256"), stack.keys.sign(claims, "HS256")):
        assert role(http, apikey=stack.keys.secret_key, authorization=f"Bearer {token}") == "authenticated"


@pytest.mark.parametrize("path", ["/rest/v1/", "/rest/v1", "/auth/v1/user", "/auth/v1/signup"])
def test_a_request_without_an_api_key_is_stopped_at_the_gateway(stack: Stack, http: httpx.Client, path: str) -> None:
    bearer = {"authorization": f"Bearer {stack.keys.service_key}"}

    absent, unknown = http.get(path, headers=bearer), http.get(path, headers={"apikey": "sb_secret_guess"})

    assert (absent.status_code, absent.json()["message"]) == (401, "No API key found in request")
    assert (unknown.status_code, unknown.json()["message"]) == (401, "Invalid API key")


@pytest.mark.parametrize("path", ["/rest/v1/rpc/test_role", "/auth/v1/user", "/storage/v1/bucket"])
def test_a_page_of_any_origin_may_call(http: httpx.Client, path: str) -> None:
    asked = {
        "origin": "http://localhost:3000",
        "access-control-request-method": "DELETE",
        "access-control-request-headers": "authorization,apikey,x-upsert",
    }

    answer = http.options(path, headers=asked)

    assert answer.is_success
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert "x-upsert" in answer.headers["access-control-allow-headers"]
    assert http.get(path, headers={"origin": "http://localhost:3000"}).headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("chunked", [True, False])
def test_large_bodies_go_through_whole(stack: Stack, http: httpx.Client, chunked: bool) -> None:
    content = b'{"content": "' + b"x" * 3_000_000 + b'"}'
    headers = {"apikey": stack.keys.service_key, "content-type": "application/json"}

    sent = http.post("/rest/v1/rpc/test_length", content=iter([content]) if chunked else content, headers=headers)
    received = http.get("/rest/v1/rpc/test_repeat?size=3000000", headers=headers)

    assert sent.json() == 3_000_000
    assert len(received.json()) == 3_000_000


def test_many_requests_at_once_get_their_own_answers(stack: Stack, http: httpx.Client) -> None:
    headers = {"apikey": stack.keys.service_key}

    def length(size: int) -> int:
        return len(http.get(f"/rest/v1/rpc/test_repeat?size={size}", headers=headers).json())

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(length, range(1, 61))) == list(range(1, 61))


def test_one_connection_serves_many_requests(stack: Stack) -> None:
    connection = HTTPConnection(urlsplit(stack.info["supabaseUrl"]).netloc, timeout=10)
    sockets = set()
    for _ in range(3):
        connection.request("GET", "/rest/v1/rpc/test_role", headers={"apikey": stack.keys.anon_key})
        assert connection.getresponse().read() == b'"anon"'
        sockets.add(connection.sock)
    connection.close()

    assert len(sockets) == 1
    assert None not in sockets


def test_the_gateway_answers_for_an_absent_data_api_and_finds_it_again(stack: Stack, http: httpx.Client) -> None:
    headers = {"apikey": stack.keys.anon_key}
    assert role(http, **headers) == "anon"
    stack.stop_child("postgrest")
    try:
        answer = http.get("/rest/v1/rpc/test_role", headers=headers)
    finally:
        stack.start_child("postgrest")

    assert answer.status_code == 503
    assert answer.json().keys() == {"message"}
    assert role(http, **headers) == "anon"
