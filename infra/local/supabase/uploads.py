"""Uploads: ask Postgres as the caller, receive the file, then write the row as the service role."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.local.supabase import rows
from infra.local.supabase.bodies import UploadBody, open_body
from infra.local.supabase.database import SERVICE
from infra.local.supabase.errors import entity_too_large, invalid_mime_type
from infra.local.supabase.files import IncomingFile
from infra.local.supabase.requests import JsonAnswer, Services, bucket_name, object_name, timestamp
from infra.local.supabase.signing import claims_of_url
from infra.local.supabase.tokens import Caller


@dataclass(frozen=True)
class Target:
    """Where an upload goes, for whom, and under whose rights."""

    bucket: str
    name: str
    caller: Caller
    owner: str | None
    upsert: bool
    operation: str


class Uploads:
    """The routes that take file bodies."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.routes = [
            Route("/object/upload/sign/{bucket}/{name:path}", self.put_signed, methods=["PUT"]),
            Route("/object/{bucket}/{name:path}", self.post, methods=["POST"]),
            Route("/object/{bucket}/{name:path}", self.put, methods=["PUT"]),
        ]

    async def post(self, request: Request) -> Response:
        upsert = request.headers.get("x-upsert") == "true"
        return await self._upload_as_caller(request, upsert, "object.upload")

    async def put(self, request: Request) -> Response:
        return await self._upload_as_caller(request, True, "object.upload_update")

    async def put_signed(self, request: Request) -> Response:
        """The token carries the permission, the owner, and whether an object may be replaced."""
        bucket, name = bucket_name(request), object_name(request)
        claims = claims_of_url(self._services.tokens, request, bucket, name, "upload")
        owner, upsert = claims.get("owner"), bool(claims.get("upsert"))
        target = Target(bucket, name, SERVICE, owner, upsert, "object.upload_signed")
        await self._upload(request, target)
        return JsonAnswer({"Key": f"{bucket}/{name}"})

    async def _upload_as_caller(self, request: Request, upsert: bool, operation: str) -> Response:
        caller = self._services.caller(request)
        target = Target(bucket_name(request), object_name(request), caller, caller.subject, upsert, operation)
        identifier = await self._upload(request, target)
        return JsonAnswer({"Key": f"{target.bucket}/{target.name}", "Id": identifier})

    async def _upload(self, request: Request, target: Target) -> UUID:
        services = self._services
        services.files.path(target.bucket, target.name, "1")
        async with services.database.transaction(SERVICE, target.operation) as connection:
            bucket = await rows.find_bucket(connection, target.bucket, "file_size_limit, allowed_mime_types")
        body = await open_body(request)
        check_mime_type(body.mime_type, bucket["allowed_mime_types"])
        await self._probe(target, body, request.headers.get("content-length"))
        with services.files.receive(_size_limit(bucket, target.name, body)) as incoming:
            async for chunk in body.chunks:
                incoming.write(chunk)
            return await self._complete(target, body, incoming)

    async def _probe(self, target: Target, body: UploadBody, declared_length: str | None) -> None:
        """Tries the write as the caller; policies see what the request declares."""
        metadata: dict[str, Any] = {"mimetype": body.mime_type}
        if declared_length is not None:
            metadata["contentLength"] = int(declared_length)
        row = rows.ObjectRow(
            target.bucket, target.name, owner=target.owner, metadata=metadata, user_metadata=body.user_metadata
        )
        async with self._services.database.probe(target.caller, target.operation) as connection:
            await rows.write(connection, row, target.upsert)

    async def _complete(self, target: Target, body: UploadBody, incoming: IncomingFile) -> UUID:
        files, version = self._services.files, str(uuid4())
        row = rows.ObjectRow(
            target.bucket,
            target.name,
            version,
            target.owner,
            _object_metadata(body, incoming),
            body.user_metadata,
        )
        incoming.keep(files.path(target.bucket, target.name, version))
        with files.removed_on_failure(target.bucket, target.name, version):
            async with self._services.database.transaction(SERVICE, target.operation) as connection:
                await rows.lock(connection, target.bucket, target.name)
                replaced = await rows.current_version(connection, target.bucket, target.name)
                await rows.write(connection, row, target.upsert)
                identifier = await rows.object_id(connection, target.bucket, target.name)
        files.remove(target.bucket, target.name, replaced)
        return identifier


def check_mime_type(mime_type: str, allowed: list[str] | None) -> None:
    """Judges the declared type, without its parameters."""
    if allowed is None:
        return
    essence = mime_type.partition(";")[0].strip().lower()
    family = essence.partition("/")[0]
    if essence not in allowed and f"{family}/*" not in allowed and "*/*" not in allowed:
        raise invalid_mime_type(essence)


def _size_limit(bucket: DictRow, name: str, body: UploadBody) -> int | None:
    limit: int | None = 0 if name.endswith(".emptyFolderPlaceholder") else bucket["file_size_limit"]
    if limit is not None and (body.declared_size or 0) > limit:
        raise entity_too_large()
    return limit


def _object_metadata(body: UploadBody, incoming: IncomingFile) -> dict[str, Any]:
    return {
        "eTag": incoming.etag,
        "size": incoming.size,
        "mimetype": body.mime_type,
        "cacheControl": body.cache_control,
        "lastModified": timestamp(datetime.now(UTC)),
        "contentLength": incoming.size,
        "httpStatusCode": 200,
    }
