"""Removing, moving and copying objects."""

from typing import Any
from uuid import uuid4

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.local.supabase import rows
from infra.local.supabase.database import SERVICE
from infra.local.supabase.errors import access_denied, invalid_request, no_such_key
from infra.local.supabase.requests import (
    JsonAnswer,
    Services,
    bucket_name,
    json_body,
    object_name,
    valid_key,
    with_blank_owner,
)
from infra.local.supabase.rows import ObjectRow
from infra.local.supabase.tokens import Caller


class Changes:
    """The routes that change objects without a body."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.routes = [
            Route("/object/move", self.move, methods=["POST"]),
            Route("/object/copy", self.copy, methods=["POST"]),
            Route("/object/{bucket}", self.remove_many, methods=["DELETE"]),
            Route("/object/{bucket}/{name:path}", self.remove, methods=["DELETE"]),
        ]

    async def remove_many(self, request: Request) -> Response:
        """The removed rows; what the caller may not remove is passed over."""
        caller, bucket = self._services.caller(request), bucket_name(request)
        names = (await json_body(request, "prefixes"))["prefixes"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise invalid_request("body/prefixes must be array")
        async with self._services.database.transaction(caller, "object.delete_many") as connection:
            removed = await rows.remove(connection, bucket, names)
        self._forget(removed)
        return JsonAnswer([with_blank_owner(row) for row in removed])

    async def remove(self, request: Request) -> Response:
        caller, bucket, name = self._services.caller(request), bucket_name(request), object_name(request)
        async with self._services.database.transaction(SERVICE, "object.delete") as connection:
            await rows.find(connection, bucket, name, "id")
        async with self._services.database.transaction(caller, "object.delete") as connection:
            removed = await rows.remove(connection, bucket, [name])
        if not removed:
            raise access_denied()
        self._forget(removed)
        return JsonAnswer({"message": "Successfully deleted"})

    async def move(self, request: Request) -> Response:
        caller = self._services.caller(request)
        source, target = _names(await json_body(request, "bucketId", "sourceKey", "destinationKey"))
        row = ObjectRow(*target, version=str(uuid4()), owner=caller.subject)
        async with self._services.database.probe(caller, "object.move") as connection:
            await rows.find(connection, *source, "id")
            await rows.move(connection, *source, row)
        if source != target:
            await self._move(source, row)
        return JsonAnswer({"message": "Successfully moved"})

    async def copy(self, request: Request) -> Response:
        """The bytes are shared, not copied: a version never changes."""
        caller = self._services.caller(request)
        body = await json_body(request, "bucketId", "sourceKey", "destinationKey")
        source, target = _names(body)
        upsert = request.headers.get("x-upsert") == "true"
        async with self._services.database.transaction(caller, "object.copy") as connection:
            original = await rows.find(connection, *source)
        row = _copied(original, target, caller, body.get("copyMetadata", True))
        async with self._services.database.probe(caller, "object.copy") as connection:
            await rows.write(connection, row, upsert)
        self._link(source, original["version"], row)
        with self._services.files.removed_on_failure(row.bucket, row.name, row.version):
            async with self._services.database.transaction(SERVICE, "object.copy") as connection:
                await rows.lock(connection, *target)
                replaced = await rows.current_version(connection, *target)
                await rows.write(connection, row, upsert)
                identifier = await rows.object_id(connection, *target)
        self._services.files.remove(row.bucket, row.name, replaced)
        return JsonAnswer({"Key": f"{row.bucket}/{row.name}", "Id": identifier})

    async def _move(self, source: tuple[str, str], row: ObjectRow) -> None:
        with self._services.files.removed_on_failure(row.bucket, row.name, row.version):
            async with self._services.database.transaction(SERVICE, "object.move") as connection:
                await rows.lock(connection, *source)
                original = await rows.find(connection, *source, "version")
                self._link(source, original["version"], row)
                await rows.move(connection, *source, row)
        self._services.files.remove(*source, original["version"])

    def _link(self, source: tuple[str, str], version: str | None, row: ObjectRow) -> None:
        files = self._services.files
        try:
            files.copy(files.path(*source, version or ""), files.path(row.bucket, row.name, row.version))
        except OSError as error:
            raise no_such_key() from error

    def _forget(self, removed: list[DictRow]) -> None:
        for row in removed:
            self._services.files.remove(row["bucket_id"], row["name"], row["version"])


def _names(body: dict[str, Any]) -> tuple[tuple[str, str], tuple[str, str]]:
    bucket = str(body["bucketId"])
    target_bucket = str(body.get("destinationBucket") or bucket)
    return (bucket, valid_key(body["sourceKey"])), (target_bucket, valid_key(body["destinationKey"]))


def _copied(original: DictRow, target: tuple[str, str], caller: Caller, with_metadata: bool) -> ObjectRow:
    user_metadata = original["user_metadata"] if with_metadata else {}
    return ObjectRow(*target, str(uuid4()), caller.subject, original["metadata"], user_metadata)
