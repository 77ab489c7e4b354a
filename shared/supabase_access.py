"""The only door to Postgres and Storage.

`as_caller(token)` acts with the caller's own JWT, so row level security decides. Every failure leaves as an `AppError`.
The sub-clients of `supabase` are used directly: importing all of it costs more than the rest of a cold start.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

import httpx
from postgrest import APIError, SyncPostgrestClient
from pydantic import ValidationError
from storage3 import SyncStorageClient
from storage3.exceptions import StorageApiError

from shared.errors import PROBLEMS, AppError
from shared.observability import Part, log, remaining_seconds, timed
from shared.settings import MEDIA_BUCKET, settings

_TIMEOUT_SECONDS: Final = 8.0
_CONNECT_SECONDS: Final = 2.0
_IMMUTABLE: Final = "31536000, immutable"  # Storage puts `max-age=` before it
_PATH: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_./-]{0,499}")  # of what is stored here; needs no escapes
_OBJECT_URLS: Final = ("public", "sign", "authenticated")

Service = Literal["database", "storage", "auth"]


class _DeadlineTransport(httpx.HTTPTransport):
    """Ends a call when the invocation's time is up, however slowly the other side answers."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        left = remaining_seconds()
        if left <= 0:
            raise httpx.ReadTimeout("no time left", request=request)
        timeout = {"connect": _CONNECT_SECONDS, "read": _TIMEOUT_SECONDS, "write": _TIMEOUT_SECONDS}
        timeout["pool"] = _CONNECT_SECONDS
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


# One client for all, made with the environment: each builds a TLS context. Lambda thaws an environment with its
# connections, which httpx would otherwise drop after 5 idle seconds.
_http: Final = httpx.Client(
    transport=_DeadlineTransport(limits=httpx.Limits(max_connections=20, keepalive_expiry=55), retries=1)
)


class Access:
    """Postgres and Storage as one caller sees them."""

    def __init__(self, token: str | None) -> None:
        chosen = settings()
        # New-style keys are no JWTs: they go as `apikey` only, and the caller's token as Bearer.
        headers = {"apikey": chosen.anon_key}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        base = chosen.supabase_url
        self._rest = SyncPostgrestClient(f"{base}/rest/v1", headers=headers, http_client=_http, retry_enabled=False)
        self._files = SyncStorageClient(f"{base}/storage/v1/", headers, http_client=_http).from_(MEDIA_BUCKET)

    def rpc(self, function: str, parameters: Mapping[str, object]) -> Any:
        """Call a database function and return what it returns, as JSON values."""
        with _translated("database", "db"):
            return self._rest.rpc(function, cast(dict[str, str], dict(parameters))).execute().data

    def session_with_frames(self, session_id: str, *, after: int, limit: int) -> dict[str, Any] | None:
        """Return the row of a session, with `frames`: `limit` rows numbered above `after`; and with `last`: the
        number of its last frame. One round trip.
        """
        with _translated("database", "db"):
            rows = (
                self._rest.from_("video_sessions")
                .select("*,frames:video_frames(*),last:video_frames(frame_number)")
                .eq("session_id", session_id)
                .order("frame_number", desc=True, foreign_table="last")
                .limit(1, foreign_table="last")
                .gt("frames.frame_number", after)
                .order("frame_number", foreign_table="frames")
                .limit(limit, foreign_table="frames")
                .execute()
                .data
            )
        return cast(dict[str, Any], rows[0]) if rows else None

    def store(self, path: str, data: bytes, mime_type: str, facts: Mapping[str, object] | None = None) -> bool:
        """Store an immutable object; False where one with this name is there already, which is left as it is."""
        options: dict[str, Any] = {"content-type": mime_type, "cache-control": _IMMUTABLE, "upsert": "false"}
        if facts is not None:
            options["metadata"] = dict(facts)
        try:
            with _translated("storage", "storage"):
                self._files.upload(path, data, options)  # type: ignore[arg-type]  # its type lacks `metadata`
        except _AlreadyStoredError:
            return False
        return True

    def urls(self, paths: Sequence[str]) -> dict[str, str]:
        """Return where each object can be read: its public URL, or in a private bucket one that expires.

        A path that the caller may not read has no URL in a private bucket, and is left out.
        """
        if settings().bucket_access == "public":
            return {path: public_url(path) for path in paths}
        if not paths:
            return {}
        with _translated("storage", "storage"):
            signed = self._files.create_signed_urls(list(paths), settings().signed_url_seconds)
        base = f"{settings().supabase_url}/storage/v1"
        return {
            str(one["path"]): f"{base}/object/sign/" + str(one["signedURL"]).partition("/object/sign/")[2]
            for one in signed
            if one["signedURL"]
        }


def as_caller(token: str) -> Access:
    """Return access with the caller's own JWT."""
    return Access(token)


def public_url(path: str) -> str:
    """Return the address of an object of the public media bucket."""
    return f"{settings().supabase_url}/storage/v1/object/public/{MEDIA_BUCKET}/{path}"


def stored_url(path: str) -> str:
    """Return what the database keeps of an object: its public URL, in a private bucket its path."""
    return public_url(path) if settings().bucket_access == "public" else path


def media_path(url: str) -> str | None:
    """Return the object's path in the media bucket, for a public or signed URL of it or the path itself, else None."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if not parts.scheme and not parts.netloc:
        return _plain_path(url)
    base = urlsplit(settings().supabase_url)
    if (parts.scheme, parts.netloc) != (base.scheme, base.netloc):
        return None
    for kind in _OBJECT_URLS:
        prefix = f"{base.path}/storage/v1/object/{kind}/{MEDIA_BUCKET}/"
        if parts.path.startswith(prefix):
            return _plain_path(parts.path.removeprefix(prefix))
    return None


def _plain_path(path: str) -> str | None:
    return path if _PATH.fullmatch(path) else None


def fetch_jwks() -> dict[str, Any]:
    """Return the public keys that the project signs access tokens with (RFC 7517)."""
    with _translated("auth", "auth"):
        response = _http.get(f"{settings().supabase_url}/auth/v1/.well-known/jwks.json")
        response.raise_for_status()
        return cast(dict[str, Any], response.json())


class _AlreadyStoredError(Exception):
    pass


@contextmanager
def _translated(service: Service, part: Part) -> Iterator[None]:
    """Time a call, and turn what a client of Supabase raises into an `AppError`."""
    try:
        with timed(part):
            yield
    except APIError as error:
        raise _database_error(error) from error
    except StorageApiError as error:
        raise _storage_error(error) from error
    except (httpx.HTTPError, json.JSONDecodeError, KeyError, ValidationError) as error:
        # All but the first: what answered was not Supabase, but a proxy's error page for instance.
        log("upstream_failed", service=service, error=error)
        raise AppError(f"{service}_unavailable") from error


def _database_error(error: APIError) -> AppError:
    code = error.code or ""
    message = error.message or ""
    if code.startswith("PT") and message in PROBLEMS:
        return AppError(message, extra=_details(error))
    if code in ("PGRST301", "PGRST303"):
        # Newer servers tell an expired token from a bad one; older ones say it in words.
        return AppError("token_expired" if "expired" in message else "invalid_token")
    if code == "42501":
        return AppError("forbidden")
    log("database_refused", code=code, error=error)
    return AppError("database_unavailable")


def _details(error: APIError) -> dict[str, object]:
    try:
        details = json.loads(error.details or "{}")
    except ValueError:
        return {}
    return details if isinstance(details, dict) else {}


def _storage_error(error: StorageApiError) -> Exception:
    if str(error.status) == "409":
        return _AlreadyStoredError()
    if "exp" in error.message and "claim timestamp" in error.message:
        return AppError("token_expired")
    if str(error.status) == "403":
        return AppError("forbidden")
    log("storage_refused", code=error.code, status=error.status, error=error)
    return AppError("storage_unavailable")
