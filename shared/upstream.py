"""Calls to Supabase and SQS: one HTTP client that keeps to the invocation's deadline, and its errors as ours."""

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

import httpx
from postgrest import APIError
from pydantic import ValidationError

from shared.errors import AppError
from shared.observability import Part, log, outgoing_headers, remaining_seconds, timed
from shared.problems import PROBLEMS

if TYPE_CHECKING:
    from storage3.exceptions import StorageApiError

_TIMEOUT_SECONDS: Final = 8.0
_CONNECT_SECONDS: Final = 2.0

_DATABASE_CODE: Final = re.compile(r"[0-9A-Z]{5}|PGRST\d{1,3}")
_STORAGE_CODE: Final = re.compile(r"[A-Za-z]{3,40}")
_STATUS: Final = re.compile(r"\d{3}")
_STORAGE_REFUSES_TOKEN: Final = re.compile("claim timestamp check failed|signature verification failed")
# Older servers of PostgREST name their exception, `JWTIssuedAtFuture` for instance.
_UNTIMELY: Final = re.compile("expired|not ?yet ?valid|issued ?at ?future|claim timestamp", re.IGNORECASE)
_WRONG: Final = {"clock": "The clock of this service is wrong.", "key": "This service's signing key is not trusted."}

Service = Literal["database", "storage", "auth", "queue"]
Whose = Literal["callers", "ours"]
"""By whose token a call goes: one that the caller sent, or one that was signed here or is in the settings."""


class _DeadlineTransport(httpx.HTTPTransport):
    """Ends a call when the invocation's time is up, however slowly the other side answers; says whose call it is."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        left = remaining_seconds()
        if left <= 0:
            raise httpx.ReadTimeout("no time left", request=request)
        timeout = {"connect": _CONNECT_SECONDS, "read": _TIMEOUT_SECONDS, "write": _TIMEOUT_SECONDS}
        timeout["pool"] = _CONNECT_SECONDS
        request.headers.update(outgoing_headers())
        request.extensions["timeout"] = {phase: min(left, seconds) for phase, seconds in timeout.items()}
        try:
            response = super().handle_request(request)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            # The other side had closed an idle connection. What writes is left to the client to repeat.
            if request.method != "GET":
                raise
            response = super().handle_request(request)
        response.stream = _DeadlineStream(cast(httpx.SyncByteStream, response.stream), request)
        return response


class _DeadlineStream(httpx.SyncByteStream):
    """A body of which each chunk must arrive before the deadline: a read timeout alone lets a trickle go on."""

    def __init__(self, stream: httpx.SyncByteStream, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            if remaining_seconds() <= 0:
                raise httpx.ReadTimeout("no time left", request=self._request)
            yield chunk

    def close(self) -> None:
        self._stream.close()


@cache
def tls() -> ssl.SSLContext:
    """Return a context that trusts the authorities of certifi.

    An artifact has each of them in a file by its name, which is read when a server names it; to read the one file
    of all is a tenth of a cold start.
    """
    folder = Path(__file__).parents[1] / "certificates"
    return ssl.create_default_context(capath=str(folder)) if folder.is_dir() else httpx.create_ssl_context()


# One client for all, made with the environment: each builds a TLS context. Lambda thaws an environment with its
# connections, which httpx would otherwise drop after 5 idle seconds.
http: Final = httpx.Client(
    transport=_DeadlineTransport(verify=tls(), limits=httpx.Limits(max_connections=20, keepalive_expiry=55), retries=1)
)


class AlreadyStoredError(Exception):
    """There is an object of this name."""


class NotStoredError(Exception):
    """There is no object of this name."""


@contextmanager
def translated(service: Service, part: Part | None, whose: Whose = "ours") -> Iterator[None]:
    """Time a call as a part of the invocation, and turn what a client of Supabase raises into an `AppError`.

    A token that is refused is the caller's fault only where it is the caller's own.
    """
    try:
        with timed(part) if part else nullcontext():
            yield
    except APIError as error:
        raise _database_error(error, whose) from error
    except (httpx.HTTPError, json.JSONDecodeError, KeyError, ValidationError) as error:
        # All but the first: what answered was not Supabase, but a proxy's error page for instance.
        log("upstream_failed", service=service, error=error)
        raise AppError(f"{service}_unavailable") from error
    except Exception as error:
        if service == "storage":
            from storage3.exceptions import StorageApiError  # noqa: PLC0415  # there already, if it was raised

            if isinstance(error, StorageApiError):
                raise _storage_error(error, whose) from error
        raise


def _database_error(error: APIError, whose: Whose) -> AppError:
    code = error.code or ""
    message = error.message or ""
    if code.startswith("PT") and message in PROBLEMS:
        details = _details(error)
        wait = details.pop("retryAfter", None)
        return AppError(message, retry_after=wait if isinstance(wait, int) else None, extra=details)
    if code in ("PGRST301", "PGRST303"):
        # Newer servers tell an expired token from a bad one; older ones say it in words.
        return _refused_token("database", whose, message, error)
    if code == "42501":
        return AppError("forbidden")
    log("database_refused", code=_plain(_DATABASE_CODE, code), error=error)
    return AppError("database_unavailable")


def _plain(pattern: re.Pattern[str], given: object) -> str | None:
    """Return a code as it may be logged: what answered may be anything, and say anything."""
    return str(given) if pattern.fullmatch(str(given)) else None


def _details(error: APIError) -> dict[str, object]:
    try:
        details = json.loads(error.details or "{}")
    except ValueError:
        return {}
    return details if isinstance(details, dict) else {}


def _storage_error(error: "StorageApiError", whose: Whose) -> Exception:
    if str(error.status) == "409":
        return AlreadyStoredError()
    if str(error.status) == "404" and "Bucket" not in error.message:
        return NotStoredError()
    if _STORAGE_REFUSES_TOKEN.search(error.message):
        return _refused_token("storage", whose, error.message, error)
    if str(error.status) == "403":
        return AppError("forbidden")
    log("storage_refused", code=_plain(_STORAGE_CODE, error.code), status=_plain(_STATUS, error.status), error=error)
    return AppError("storage_unavailable")


def _refused_token(service: Service, whose: Whose, message: str, error: Exception) -> AppError:
    if whose == "callers":
        return AppError("token_expired" if "expired" in message or '"exp"' in message else "invalid_token")
    cause = "clock" if _UNTIMELY.search(message) else "key"
    log("own_token_refused", service=service, cause=cause, error=error)
    return AppError("not_configured", f"A token that was signed here is refused. {_WRONG[cause]}")
