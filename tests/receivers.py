"""Receivers of webhooks on this machine: good ones, and every kind of bad one."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any, Literal

Manner = Literal["answer", "hang", "trickle_head", "trickle_body", "endless", "garbage", "die", "cut_body"]


@dataclass
class Received:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Listens on a free port of 127.0.0.1; `answer` is what it sends, in the `manner` that it behaves."""

    status: int = 200
    answer_headers: dict[str, str] = field(default_factory=dict)
    answer_body: bytes = b"thanks"
    manner: Manner = "answer"
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._stop = Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port: int = self._socket.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=in-the-url"

    def close(self) -> None:
        self._stop.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # ends the waiting for a connection; closing alone does not
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._stop.is_set():
                connection, _ = self._socket.accept()
                self.connections += 1
                Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection:
            wrapped = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
            with wrapped, wrapped.makefile("rb") as file:
                self._behave(wrapped, file)

    def _behave(self, connection: socket.socket, file: Any) -> None:
        if self.manner == "die":
            return
        self.received.append(_request(file))
        if self.manner == "hang":
            self._stop.wait(60)
        elif self.manner == "garbage":
            connection.sendall(b"\x16\x03\x01 this is no HTTP at all\r\n\r\n")
        elif self.manner == "trickle_head":
            self._drip(connection, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 2000)
        else:
            self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        length = {"Content-Length": str(len(self.answer_body))} if self.manner == "answer" else {}
        headers = {**length, "Connection": "close", **self.answer_headers}
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
        if self.manner == "cut_body":
            lines.append("Content-Length: 100000")
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + self.answer_body)
        if self.manner == "trickle_body":
            self._drip(connection, b"y" * 2000)
        while self.manner == "endless" and not self._stop.is_set():
            connection.sendall(b"z" * 65536)

    def _drip(self, connection: socket.socket, data: bytes) -> None:
        for one in data:
            if self._stop.wait(0.05):
                return
            connection.sendall(bytes([one]))


def _request(file: Any) -> Received:
    line = file.readline().decode().strip()
    headers = {}
    while named := file.readline().decode().strip():
        name, _, value = named.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Received(line, headers, file.read(int(headers.get("content-length", 0))))


@contextmanager
def receiving(**chosen: Any) -> Iterator[Receiver]:
    """A receiver, closed at the end."""
    receiver = Receiver(**chosen)
    try:
        yield receiver
    finally:
        receiver.close()
