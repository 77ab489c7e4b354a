"""POSTs to addresses that users name: to the public internet only, within seconds, and never further.

The address that was checked is the one that is connected to, so a name that resolves differently a moment later leads
nowhere else. Redirects are not followed.
"""

import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import httpcore

from shared.outbound.targets import may_be_reached, target_of

Failure = Literal[
    "invalid_url",
    "refused_address",
    "name_not_found",
    "connection_failed",
    "tls_failed",
    "timeout",
    "invalid_response",
]

_CONNECT_SECONDS: Final = 5.0
_MOST_ADDRESSES: Final = 3
_EXCERPT_BYTES: Final = 1024
_EXCERPT_SECONDS: Final = 1.0


class OutboundError(Exception):
    """Nothing came back: `code` says why."""

    def __init__(self, code: Failure) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: its status, its `Retry-After`, and the beginning of its body."""

    status: int
    retry_after: str | None
    excerpt: bytes


def post(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
    """Post, and return what came back within this time; raises `OutboundError`.

    The status alone decides: a body that is cut, endless or garbage changes nothing, its beginning is an excerpt.
    """
    try:
        target = target_of(url)
    except ValueError as error:
        raise OutboundError("invalid_url") from error
    limits = _Deadline(seconds)
    place = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
    named: list[tuple[bytes | str, bytes | str]] = [("Host", target.netloc), *headers.items()]
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_tls(), network_backend=_Backend(limits)) as pool,
            pool.stream("POST", place, headers=named, content=body) as response,
        ):
            return Reply(response.status, _retry_after(response), _excerpt(response, limits))
    except httpcore.TimeoutException as error:
        raise OutboundError("timeout") from error
    except httpcore.NetworkError as error:
        raise OutboundError("connection_failed") from error
    except httpcore.ProtocolError as error:
        raise OutboundError("invalid_response") from error


def _retry_after(response: httpcore.Response) -> str | None:
    named = {name.lower(): value for name, value in response.headers}
    value = named.get(b"retry-after")
    return value.decode("latin-1") if value is not None else None


def _excerpt(response: httpcore.Response, limits: "_Deadline") -> bytes:
    limits.shorten(_EXCERPT_SECONDS)
    found = bytearray()
    with suppress(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        for chunk in response.iter_stream():
            found += chunk
            if len(found) >= _EXCERPT_BYTES:
                break
    return bytes(found[:_EXCERPT_BYTES])


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpcore.default_ssl_context()


class _Deadline:
    """By when everything must have happened, however slowly the other side goes on."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def shorten(self, seconds: float) -> None:
        """Leave at most this much time from now."""
        self._end = min(self._end, time.monotonic() + seconds)

    def left(self, most: float = float("inf")) -> float:
        """Return how much time is left; raises where none is."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return min(left, most)


class _Backend(httpcore.NetworkBackend):
    """Connects to addresses that it has checked."""

    def __init__(self, limits: _Deadline) -> None:
        self._limits = limits
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve the name once, and connect to one of the very addresses that were found."""
        failure: Exception = OutboundError("name_not_found")
        for address in _checked_addresses(host, port, self._limits):
            try:
                stream = self._sockets.connect_tcp(address, port, self._limits.left(_CONNECT_SECONDS))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._limits)
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection of which each step must end before the deadline: a limit per read alone lets a trickle go on."""

    def __init__(self, stream: httpcore.NetworkStream, limits: _Deadline) -> None:
        self._stream = stream
        self._limits = limits

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._limits.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._limits.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            secured = self._stream.start_tls(ssl_context, server_hostname, self._limits.left())
        except httpcore.ConnectError as error:
            raise OutboundError("tls_failed") from error
        return _Stream(secured, self._limits)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


_resolver: Final = ThreadPoolExecutor(8, "resolver")  # a lookup has no time limit of its own


def _checked_addresses(host: str, port: int, limits: _Deadline) -> list[str]:
    """Return where a name leads, IPv4 first, which Lambda always has; raises where any of it is not public."""
    try:
        found = _resolver.submit(_resolve, host, port).result(limits.left())
    except TimeoutError as error:
        raise httpcore.ConnectTimeout from error
    except (OSError, UnicodeError) as error:
        raise OutboundError("name_not_found") from error
    if not all(may_be_reached(address) for address in found):
        raise OutboundError("refused_address")
    return sorted(dict.fromkeys(found), key=lambda address: ":" in address)[:_MOST_ADDRESSES]


def _resolve(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
