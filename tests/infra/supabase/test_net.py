"""Requests that SQL queues are sent as pg_net sends them."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest

from infra.local.stack import Stack
from tests.infra.running import until

Database = psycopg.Connection[Any]

POST = "select net.http_post(%s, %s::jsonb, headers := %s::jsonb, timeout_milliseconds := %s)"


class Receiver:
    """A server that notes what it is sent, and answers only while `open` is set."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.most_at_once = 0
        self.open = threading.Event()
        self.open.set()
        self._now = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer._note(self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body))
                self.send_response(202)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                self.wfile.write(b"thanks\0")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()

    def _note(self, path: str, headers: dict[str, str], body: Any) -> None:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        self.open.wait(60)
        with self._lock:
            self._now -= 1
            self.received.append({"path": path, "headers": headers, "body": body})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def project(stack: Stack) -> Iterator[Database]:
    """What a project's own SQL logs in as."""
    with psycopg.connect(stack.info["databaseUrl"], autocommit=True) as connection:
        yield connection


def post(project: Database, url: str, body: object = None, headers: object = None, milliseconds: int = 10_000) -> int:
    """Queues a request and returns its id."""
    found = project.execute(POST, (url, json.dumps(body or {}), json.dumps(headers or {}), milliseconds)).fetchone()
    assert found
    return int(found[0])


def answer(project: Database, request: int) -> dict[str, Any]:
    """The response once it is there; the request must have left the queue with it."""
    query = "select to_jsonb(r) from net._http_response r where id = %s"
    until(lambda: project.execute(query, (request,)).fetchone() is not None)
    found = project.execute(query, (request,)).fetchone()
    assert found
    assert not queued(project, request)
    response: dict[str, Any] = found[0]
    return response


def queued(project: Database, request: int) -> bool:
    return project.execute("select from net.http_request_queue where id = %s", (request,)).fetchone() is not None


def test_a_request_is_sent_with_its_body_and_headers_and_the_answer_is_kept(
    project: Database, receiver: Receiver
) -> None:
    response = answer(project, post(project, f"{receiver.url}/hook?a=1", {"é": [1, None]}, {"X-Webhook-Secret": "s"}))
    assert (response["status_code"], response["content_type"], response["content"]) == (202, "text/plain", "thanks")
    assert (response["timed_out"], response["error_msg"]) == (False, None)
    (sent,) = receiver.received
    assert (sent["path"], sent["body"]) == ("/hook?a=1", {"é": [1, None]})
    assert sent["headers"].items() >= {"content-type": "application/json", "x-webhook-secret": "s"}.items()


def test_parameters_are_appended_to_the_address(project: Database, receiver: Receiver) -> None:
    found = project.execute('select net.http_post(%s, params := \'{"q": "ä &"}\')', (receiver.url + "/",)).fetchone()
    assert found
    answer(project, found[0])
    assert receiver.received[0]["path"] == "/?q=%C3%A4%20%26"


def test_a_request_of_a_transaction_that_is_rolled_back_is_never_sent(project: Database, receiver: Receiver) -> None:
    with project.transaction(force_rollback=True):
        post(project, f"{receiver.url}/rolled-back")
    answer(project, post(project, f"{receiver.url}/committed"))
    assert [sent["path"] for sent in receiver.received] == ["/committed"]


def test_a_request_is_not_sent_before_its_transaction_is_committed(project: Database, receiver: Receiver) -> None:
    with project.transaction():
        early = post(project, f"{receiver.url}/early")
        with psycopg.connect(project.info.dsn, password=project.info.password, autocommit=True) as other:
            answer(other, post(other, f"{receiver.url}/late"))
        assert [sent["path"] for sent in receiver.received] == ["/late"]
    answer(project, early)
    assert [sent["path"] for sent in receiver.received] == ["/late", "/early"]


def test_a_server_that_is_away_is_noted_and_not_asked_again(project: Database, receiver: Receiver) -> None:
    receiver.close()
    response = answer(project, post(project, receiver.url))
    assert (response["status_code"], response["timed_out"]) == (None, False)
    assert response["error_msg"]


def test_a_server_that_takes_too_long_is_noted(project: Database, receiver: Receiver) -> None:
    receiver.open.clear()
    assert answer(project, post(project, receiver.url, milliseconds=50))["timed_out"] is True


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://127.0.0.1:99999/", "http://[/"])
def test_an_address_that_is_none_does_not_hold_up_the_others(project: Database, receiver: Receiver, url: str) -> None:
    assert answer(project, post(project, url))["status_code"] is None
    assert answer(project, post(project, receiver.url))["status_code"] == 202


def test_only_a_few_requests_are_under_way_at_once(project: Database, receiver: Receiver) -> None:
    receiver.open.clear()
    requests = [post(project, receiver.url, {"number": number}) for number in range(12)]
    until(lambda: receiver.most_at_once == 4)
    receiver.open.set()
    for request in requests:
        answer(project, request)
    assert sorted(sent["body"]["number"] for sent in receiver.received) == list(range(12))
    assert receiver.most_at_once == 4


def test_requests_are_sent_after_the_database_was_restarted(stack: Stack, receiver: Receiver) -> None:
    stack.stop_child("postgres")
    stack.start_child("postgres")
    with psycopg.connect(stack.info["databaseUrl"], autocommit=True) as project:
        assert answer(project, post(project, receiver.url))["status_code"] == 202


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_the_roles_of_callers_cannot_send_requests(project: Database, role: str) -> None:
    with project.transaction(force_rollback=True):
        project.execute(f"set local role {role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege), project.transaction():
            project.execute("select net.http_post('http://127.0.0.1/')")


def test_what_pg_net_refuses_is_refused(project: Database) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="application/json"):
        post(project, "http://127.0.0.1/", headers={"content-type": "text/plain"})
    with pytest.raises(psycopg.errors.RaiseException, match="body must not be null"):
        project.execute("select net.http_post('http://127.0.0.1/', null)")
