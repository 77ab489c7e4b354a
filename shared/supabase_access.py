"""The only door to Postgres and Storage.

`as_caller(token)` acts with the caller's own JWT, so row level security decides. Every failure leaves as an `AppError`.
The sub-clients of `supabase` are used directly: importing all of it costs more than the rest of a cold start.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

import httpx
from postgrest import SyncPostgrestClient

from shared.errors import AppError
from shared.media_urls import public_url
from shared.observability import Part
from shared.settings import MEDIA_BUCKET, settings
from shared.upstream import AlreadyStoredError, NotStoredError, Whose, http, translated

if TYPE_CHECKING:
    from storage3._sync.file_api import SyncBucketProxy

_IMMUTABLE: Final = "31536000, immutable"  # Storage puts `max-age=` before it
_MOST_REMOVED: Final = 1000
_SHOWN_OF_CLIPS: Final = (
    "clip_number,frame_number,status,start_seconds,duration_seconds,video_path,provider,attempts,progress,error"
)
_CHUNK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Urls:
    """Addresses of objects by their paths, and until when they work (ISO 8601; None: for good)."""

    by_path: Mapping[str, str]
    expires_at: str | None = None


class Access:
    """Postgres and Storage as one caller sees them, or as the service."""

    def __init__(self, api_key: str, token: str, whose: Whose) -> None:
        # New-style keys are no JWTs: they go as `apikey` only.
        headers = {"apikey": api_key} | ({} if token.startswith("sb_") else {"Authorization": f"Bearer {token}"})
        self._headers = headers
        self._whose: Whose = whose
        base = f"{settings().supabase_url}/rest/v1"
        self._rest = SyncPostgrestClient(base, headers=headers, http_client=http, retry_enabled=False)

    @cached_property
    def _files(self) -> "SyncBucketProxy":
        from storage3 import SyncStorageClient  # noqa: PLC0415  # many calls need no file

        base = f"{settings().supabase_url}/storage/v1/"
        return SyncStorageClient(base, self._headers, http_client=http).from_(MEDIA_BUCKET)

    def rpc(self, function: str, parameters: Mapping[str, object], part: Part | None = "db") -> Any:
        """Call a database function and return what it returns, as JSON values; timed as a part of the invocation."""
        with translated("database", part, self._whose):
            return self._rest.rpc(function, cast(dict[str, str], dict(parameters))).execute().data

    def session(self, session_id: str) -> dict[str, Any] | None:
        """Return the row of a session, with `caller_role` and `frames_stamp`, which changes whenever its frames do."""
        with translated("database", "db", self._whose):
            asked = self._rest.from_("video_sessions").select("*,caller_role,frames_stamp")
            rows = asked.eq("session_id", session_id).execute().data
        return cast(dict[str, Any], rows[0]) if rows else None

    def session_with_frames(
        self, session_id: str, *, after: int, limit: int, stamped: bool = False
    ) -> dict[str, Any] | None:
        """Return the row of a session, with `frames`: `limit` rows numbered above `after`; and with `last`: the
        number of its last frame; and `caller_role`; and `frames_stamp` where it is asked for. One round trip.
        """
        columns = "*,caller_role,frames_stamp" if stamped else "*,caller_role"
        with translated("database", "db", self._whose):
            rows = (
                self._rest.from_("video_sessions")
                .select(f"{columns},frames:video_frames(*),last:video_frames(frame_number)")
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

    def newest_video(self, session_id: str) -> dict[str, Any] | None:
        """Return the row of the last completed video of a session."""
        with translated("database", "db", self._whose):
            asked = self._rest.from_("final_videos").select("*").eq("session_id", session_id).eq("status", "completed")
            rows = asked.order("id", desc=True).limit(1).execute().data
        return cast(dict[str, Any], rows[0]) if rows else None

    def upload(self, upload_id: str) -> dict[str, Any] | None:
        """Return the row of an upload."""
        with translated("database", "db", self._whose):
            rows = self._rest.from_("uploads").select("*").eq("id", upload_id).execute().data
        return cast(dict[str, Any], rows[0]) if rows else None

    def video(self, video_id: str) -> dict[str, Any] | None:
        """Return the row of a video, with `clips`: what is to be shown of them, in their order. One round trip."""
        with translated("database", "db", self._whose):
            rows = (
                self._rest.from_("final_videos")
                .select(f"*,clips:video_clips({_SHOWN_OF_CLIPS})")
                .eq("video_id", video_id)
                .order("clip_number", foreign_table="clips")
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
            with translated("storage", "storage", self._whose):
                self._files.upload(path, data, options)  # type: ignore[arg-type]  # its type lacks `metadata`
        except AlreadyStoredError:
            return False
        return True

    def store_stream(self, path: str, chunks: Iterable[bytes], mime_type: str, size: int) -> bool:
        """Store an immutable object of this size in bytes, never the whole of it in memory; as the service."""
        url = f"{settings().supabase_url}/storage/v1/object/{MEDIA_BUCKET}/{path}"
        headers = {
            **self._headers,
            "content-type": mime_type,
            "content-length": str(size),
            "cache-control": f"max-age={_IMMUTABLE}",
        }
        try:
            with translated("storage", "storage", self._whose):
                _check(http.post(url, content=chunks, headers=headers))
        except AlreadyStoredError:
            return False
        return True

    def store_file(self, path: str, file: Path, mime_type: str) -> bool:
        """Store a local file as `store_stream` does."""
        with file.open("rb") as opened:
            chunks = iter(lambda: opened.read(_CHUNK_BYTES), b"")
            return self.store_stream(path, chunks, mime_type, file.stat().st_size)

    def fetch(self, path: str, version: str | None, file: Path) -> bool:
        """Write an object to a local file; False where there is none, or where it is empty."""
        with file.open("wb") as opened:
            return sum(opened.write(chunk) for chunk in self.chunks(path, version)) > 0

    def replace(self, path: str, data: bytes, mime_type: str, facts: Mapping[str, object]) -> None:
        """Put other bytes in the place of an object."""
        options: dict[str, Any] = {"content-type": mime_type, "cache-control": "3600", "metadata": dict(facts)}
        with translated("storage", "storage", self._whose):
            self._files.update(path, data, options)  # type: ignore[arg-type]  # its type lacks `metadata`

    def chunks(self, path: str, version: str | None) -> Iterator[bytes]:
        """Return the bytes of an object piece by piece; none where there is no such object."""
        url = f"{settings().supabase_url}/storage/v1/object/authenticated/{MEDIA_BUCKET}/{quote(path)}"
        # Caches in between may hold an older version for a while; a parameter of its own leads past them.
        request = http.build_request("GET", url, headers=self._headers, params={"cacheNonce": version or ""})
        try:
            with translated("storage", "storage", self._whose):
                response = http.send(request, stream=True)
                try:
                    _check(response)
                    yield from response.iter_bytes()
                finally:
                    response.close()
        except NotStoredError:
            return

    def version(self, path: str) -> str | None:
        """Return the version of an object, which changes whenever its bytes do; None where there is none."""
        try:
            with translated("storage", "storage", self._whose):
                return str(self._files.info(path)["version"])
        except NotStoredError:
            return None

    def remove(self, paths: Sequence[str]) -> int:
        """Remove objects, 1,000 at a time, and return how many there were."""
        removed = 0
        for start in range(0, len(paths), _MOST_REMOVED):
            with translated("storage", "storage", self._whose):
                removed += len(self._files.remove(list(paths[start : start + _MOST_REMOVED])))
        return removed

    def urls(self, paths: Sequence[str]) -> Urls:
        """Return where each object can be read: its public URL, or in a private bucket one that expires.

        A path that the caller may not read has no URL in a private bucket, and is left out.
        """
        chosen = settings()
        if chosen.bucket_access == "public":
            return Urls({path: public_url(path) for path in paths})
        if not paths:
            return Urls({})
        expiry = datetime.now(UTC) + timedelta(seconds=chosen.signed_url_seconds)
        with translated("storage", "storage", self._whose):
            signed = self._files.create_signed_urls(list(paths), chosen.signed_url_seconds)
        base = f"{chosen.supabase_url}/storage/v1/object/sign/"
        found = {
            str(one["path"]): base + str(one["signedURL"]).partition("/object/sign/")[2]
            for one in signed
            if one["signedURL"]
        }
        return Urls(found, expiry.isoformat(timespec="seconds"))


def tell(token: str, function: str, body: bytes, trace: Callable[[str, object], None]) -> None:
    """Call a database function that returns nothing, by its parameters as JSON; `trace` hears of each step."""
    headers = {"apikey": settings().anon_key, "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with translated("database", None):
        url = f"{settings().supabase_url}/rest/v1/rpc/{function}"
        http.post(url, content=body, headers=headers, extensions={"trace": trace}).raise_for_status()


def as_caller(token: str, whose: Whose = "callers") -> Access:
    """Return access with the caller's own JWT, or with one that was signed here for the caller."""
    return Access(settings().anon_key, token, whose)


def as_service() -> Access:
    """Return access past row level security, for those few functions that no caller stands behind."""
    key = settings().service_key
    if not key:
        raise AppError("not_configured", "SUPABASE_SERVICE_KEY is not set.")
    return Access(key, key, "ours")


def _check(response: httpx.Response) -> None:
    """Raise as the client of Storage does, for an answer to a request that it has no method for."""
    if response.status_code != httpx.codes.OK:
        from storage3.exceptions import StorageApiError  # noqa: PLC0415

        response.read()
        answer = response.json()
        raise StorageApiError(answer["message"], answer["error"], answer["statusCode"])


def fetch_jwks() -> dict[str, Any]:
    """Return the public keys that the project signs access tokens with (RFC 7517)."""
    with translated("auth", None):
        response = http.get(f"{settings().supabase_url}/auth/v1/.well-known/jwks.json")
        response.raise_for_status()
        return cast(dict[str, Any], response.json())
