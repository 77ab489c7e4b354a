"""Reading objects: their bytes, whole or in part, and what is known about them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from io import BufferedReader
from typing import Any
from urllib.parse import quote

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from infra.local.supabase import rows
from infra.local.supabase.database import SERVICE
from infra.local.supabase.errors import invalid_range, no_such_bucket, no_such_key
from infra.local.supabase.requests import ANONYMOUS, JsonAnswer, Services, bucket_name, object_name
from infra.local.supabase.signing import claims_of_url
from infra.local.supabase.tokens import Caller

_CHUNK_BYTES = 256 * 1024


class Downloads:
    """The routes that read one object."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.routes = [
            Route("/object/public/{bucket}/{name:path}", self.get_public),
            Route("/object/sign/{bucket}/{name:path}", self.get_signed),
            Route("/object/authenticated/{bucket}/{name:path}", self.get),
            Route("/object/info/public/{bucket}/{name:path}", self.get_public_info),
            Route("/object/info/authenticated/{bucket}/{name:path}", self.get_info),
            Route("/object/info/{bucket}/{name:path}", self.get_info),
            Route("/object/{bucket}/{name:path}", self.get),
        ]

    async def get_public(self, request: Request) -> Response:
        bucket, name = bucket_name(request), object_name(request)
        if not await self._is_public(bucket):
            raise no_such_bucket()
        return await self._serve(request, SERVICE, bucket, name)

    async def get(self, request: Request) -> Response:
        """Anybody may read a public bucket; without a valid token a private one does not exist."""
        bucket, name = bucket_name(request), object_name(request)
        is_public, caller = await self._is_public(bucket), self._services.optional_caller(request)
        if is_public is None or (caller is None and not is_public):
            raise no_such_bucket()
        return await self._serve(request, SERVICE if is_public else caller or ANONYMOUS, bucket, name)

    async def get_signed(self, request: Request) -> Response:
        bucket, name = bucket_name(request), object_name(request)
        claims = claims_of_url(self._services.tokens, request, bucket, name, "download")
        response = await self._serve(request, SERVICE, bucket, name)
        if "cache-control" in response.headers:
            del response.headers["cache-control"]
            response.headers["expires"] = _http_date(datetime.fromtimestamp(claims["exp"], UTC))
        return response

    async def get_public_info(self, request: Request) -> Response:
        bucket, name = bucket_name(request), object_name(request)
        if not await self._is_public(bucket):
            raise no_such_bucket()
        return await self._info(SERVICE, bucket, name)

    async def get_info(self, request: Request) -> Response:
        bucket, name = bucket_name(request), object_name(request)
        caller = self._services.optional_caller(request)
        if caller is None and not await self._is_public(bucket):
            raise no_such_bucket()
        return await self._info(SERVICE if caller is None else caller, bucket, name)

    async def _is_public(self, bucket: str) -> bool | None:
        """None where there is no such bucket."""
        async with self._services.database.transaction(SERVICE, "bucket.get") as connection:
            cursor = await connection.execute("select public from storage.buckets where id = %s", (bucket,))
            row = await cursor.fetchone()
        return bool(row["public"]) if row else None

    async def _info(self, caller: Caller, bucket: str, name: str) -> Response:
        async with self._services.database.transaction(caller, "object.get_info") as connection:
            row = await rows.find(connection, bucket, name)
        metadata = row["metadata"] or {}
        info = {
            "id": row["id"],
            "name": row["name"],
            "version": row["version"],
            "bucket_id": row["bucket_id"],
            "size": metadata.get("size"),
            "content_type": metadata.get("mimetype"),
            "cache_control": metadata.get("cacheControl"),
            "etag": metadata.get("eTag"),
            "metadata": row["user_metadata"],
            "last_modified": metadata.get("lastModified"),
            "created_at": row["created_at"],
        }
        kept = ("etag", "last-modified", "cache-control")
        headers = {key: value for key, value in _headers(metadata).items() if key in kept}
        return JsonAnswer(info, headers=headers)

    async def _serve(self, request: Request, caller: Caller, bucket: str, name: str) -> Response:
        row, file = await self._open(caller, bucket, name)
        headers = _headers(row["metadata"] or {})
        _add_disposition(headers, request.query_params.get("download"))
        if _is_unchanged(request, headers):
            file.close()
            return Response(status_code=304, headers=headers)
        try:
            size = int(row["metadata"]["contentLength"])
            part = _requested_range(request.headers.get("range"), size)
        except BaseException:
            file.close()
            raise
        if part is None:
            part, status = ByteRange(0, size), 200
        else:
            headers["content-range"], status = f"bytes {part.start}-{part.end - 1}/{size}", 206
        headers["content-length"] = str(part.end - part.start)
        if request.method == "HEAD":
            file.close()
            return Response(None, status, headers)
        return StreamingResponse(_read(file, part), status, headers)

    async def _open(self, caller: Caller, bucket: str, name: str) -> tuple[DictRow, BufferedReader]:
        """The object and its file; an upload that replaces both between the two looks is followed."""
        for _ in range(3):
            async with self._services.database.transaction(caller, "object.get_authenticated") as connection:
                row = await rows.find(connection, bucket, name, "version, metadata")
            if row["version"] is None or row["metadata"] is None:
                break
            try:
                return row, self._services.files.open(bucket, name, row["version"])
            except FileNotFoundError:
                continue
        raise no_such_key()


@dataclass(frozen=True)
class ByteRange:
    """From `start` up to, not including, `end`."""

    start: int
    end: int


def _requested_range(header: str | None, size: int) -> ByteRange | None:
    """None where the whole object is asked for."""
    if header is None or not header.startswith("bytes=") or "," in header:
        return None
    first, _, last = header.removeprefix("bytes=").partition("-")
    if not (first or last) or not (first + last).isdecimal():
        raise invalid_range()
    if not first:
        first, last = str(max(0, size - int(last))), ""
    part = ByteRange(int(first), min(size, int(last) + 1 if last else size))
    if part.start >= part.end:
        raise invalid_range()
    return part


def _read(file: BufferedReader, part: ByteRange) -> Iterator[bytes]:
    with file:
        file.seek(part.start)
        left = part.end - part.start
        while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk


def _headers(metadata: dict[str, Any]) -> dict[str, str]:
    mime_type = str(metadata.get("mimetype", "application/octet-stream"))
    modified = datetime.fromisoformat(metadata.get("lastModified", "1970-01-01T00:00:00Z"))
    return {
        "accept-ranges": "bytes",
        "content-type": "text/plain" if "text/html" in mime_type else mime_type,
        "etag": str(metadata.get("eTag", "")),
        "x-robots-tag": "none",
        "last-modified": _http_date(modified),
        "cache-control": str(metadata.get("cacheControl", "no-cache")),
    }


def _add_disposition(headers: dict[str, str], download: str | None) -> None:
    if download == "":
        headers["content-disposition"] = "attachment;"
    elif download is not None:
        name = quote(download, safe="!'()*-._~")
        headers["content-disposition"] = f"attachment; filename={name}; filename*=UTF-8''{name};"


def _is_unchanged(request: Request, headers: dict[str, str]) -> bool:
    """RFC 9110: `If-None-Match` decides alone where it is sent."""
    wanted = request.headers.get("if-none-match")
    if wanted is not None:
        tags = {tag.strip().removeprefix("W/") for tag in wanted.split(",")}
        return headers["etag"] in tags or "*" in tags
    since = request.headers.get("if-modified-since")
    try:
        return since is not None and parsedate_to_datetime(headers["last-modified"]) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False


def _http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)
