"""A proxy in front of the local Supabase that fails on demand, as networks and services do."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Literal

import httpx

Fault = Literal["error_500", "error_502_html", "hang", "trickle", "cut_before", "cut_in_body", "refuse_after"]


class FaultyUpstream:
    """Forwards to `target`. `faults` maps the beginning of a path to what goes wrong there.

    `seen` are the requests that came, `headers` what they said.
    """

    def __init__(self, target: str) -> None:
        self.faults: dict[str, Fault] = {}
        self.seen: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._every, self._calls = 1, 0
        self._target = target
        self._client = httpx.Client(timeout=30)  # one for all: to make one takes longer than to ask
        self._stop = Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                outer._serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._client.close()

    @contextmanager
    def failing(self, prefix: str, fault: Fault, *, every: int = 1) -> Iterator[None]:
        """Let calls below a path fail: all of them, or one in so many."""
        self.faults[prefix] = fault
        self._every, self._calls = every, 0
        try:
            yield
        finally:
            del self.faults[prefix]

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("content-length") or 0)
        body = request.rfile.read(length)
        self.seen.append(f"{request.command} {request.path}")
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        fault = next((one for prefix, one in self.faults.items() if request.path.startswith(prefix)), None)
        if fault:
            self._calls += 1
            fault = fault if self._calls % self._every == 0 else None
        if fault is None:
            self._forward(request, body)
        elif fault == "error_500":
            self._reply(request, 500, b'{"statusCode":"500","error":"Internal","message":"boom"}', "application/json")
        elif fault == "error_502_html":
            self._reply(request, 502, b"<html><h1>502 Bad Gateway</h1></html>", "text/html")
        elif fault == "hang":
            self._stop.wait(60)
            self._cut(request)
        elif fault == "cut_before":
            self._cut(request)
        elif fault == "refuse_after":
            with suppress(httpx.HTTPError):
                self._forward_unseen(request, body)
            self._cut(request)
        else:
            self._begin_body(request, trickle=fault == "trickle")

    def _begin_body(self, request: BaseHTTPRequestHandler, *, trickle: bool) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", "100000")
        request.end_headers()
        deadline = time.monotonic() + 60
        with suppress(OSError):
            request.wfile.write(b"[")
            while trickle and time.monotonic() < deadline and not self._stop.wait(0.1):
                request.wfile.write(b" ")
                request.wfile.flush()
        self._cut(request)

    @staticmethod
    def _cut(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        with suppress(OSError):
            request.connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _reply(request: BaseHTTPRequestHandler, status: int, body: bytes, kind: str) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _forward_unseen(self, request: BaseHTTPRequestHandler, body: bytes) -> httpx.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        headers["accept-encoding"] = "identity"
        return self._client.request(request.command, self._target + request.path, headers=headers, content=body)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        try:
            answer = self._forward_unseen(request, body)
        except httpx.HTTPError:  # the other side has gone away
            self._cut(request)
            return
        self._reply(request, answer.status_code, answer.content, answer.headers.get("content-type", ""))
