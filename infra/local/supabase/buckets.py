"""Making, changing, listing and removing buckets."""

import re
from typing import Any

import psycopg
from psycopg import sql
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.local.supabase import rows
from infra.local.supabase.database import SERVICE
from infra.local.supabase.errors import StorageError, bucket_not_empty, from_database, no_such_bucket
from infra.local.supabase.requests import (
    JsonAnswer,
    Services,
    bucket_name,
    json_body,
    valid_bucket_name,
    with_blank_owner,
)

_COLUMNS = "id, name, owner, public, created_at, updated_at, file_size_limit, allowed_mime_types"
_UNITS = {"GB": 10**9, "MB": 10**6, "KB": 10**3, "B": 1}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(GB|MB|KB|B)", re.IGNORECASE)


class Buckets:
    """The routes of buckets."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.routes = [
            Route("/bucket", self.list_all, methods=["GET"]),
            Route("/bucket", self.create, methods=["POST"]),
            Route("/bucket/{bucket}", self.get, methods=["GET"]),
            Route("/bucket/{bucket}", self.update, methods=["PUT"]),
            Route("/bucket/{bucket}", self.delete, methods=["DELETE"]),
            Route("/bucket/{bucket}/empty", self.empty, methods=["POST"]),
        ]

    async def list_all(self, request: Request) -> Response:
        caller = self._services.caller(request)
        async with self._services.database.transaction(caller, "bucket.list") as connection:
            cursor = await connection.execute(
                f"select {_COLUMNS} from storage.buckets order by name"  # noqa: S608  # a constant
            )
            return JsonAnswer([with_blank_owner(row) for row in await cursor.fetchall()])

    async def get(self, request: Request) -> Response:
        caller = self._services.caller(request)
        async with self._services.database.transaction(caller, "bucket.get") as connection:
            return JsonAnswer(with_blank_owner(await rows.find_bucket(connection, bucket_name(request), _COLUMNS)))

    async def create(self, request: Request) -> Response:
        caller = self._services.caller(request)
        body = await json_body(request, "name")
        name = valid_bucket_name(body["name"])
        values = {"public": False, **_settings(body)}
        async with self._services.database.transaction(caller, "bucket.create") as connection:
            try:
                await connection.execute(
                    """
                    insert into storage.buckets (id, name, owner_id, public, file_size_limit, allowed_mime_types)
                    values (%s, %s, %s, %s, %s, %s)
                    """,
                    (
                        valid_bucket_name(body.get("id") or name),
                        name,
                        caller.subject,
                        values["public"],
                        values.get("file_size_limit"),
                        values.get("allowed_mime_types"),
                    ),
                )
            except psycopg.errors.UniqueViolation as error:
                raise from_database(error, "BucketAlreadyExists") from error
        return JsonAnswer({"name": name})

    async def update(self, request: Request) -> Response:
        """Changes what is named in the body only."""
        caller = self._services.caller(request)
        values = _settings(await json_body(request))
        assignments = [sql.SQL("{} = %s").format(sql.Identifier(column)) for column in values]
        query = sql.SQL("update storage.buckets set {} where id = %s").format(
            sql.SQL(", ").join([*assignments, sql.SQL("updated_at = now()")])
        )
        async with self._services.database.transaction(caller, "bucket.update") as connection:
            cursor = await connection.execute(query, (*values.values(), bucket_name(request)))
        if cursor.rowcount == 0:
            raise no_such_bucket()
        return JsonAnswer({"message": "Successfully updated"})

    async def empty(self, request: Request) -> Response:
        """Removes all objects; unlike the real server's, before the answer."""
        caller, bucket = self._services.caller(request), bucket_name(request)
        async with self._services.database.transaction(caller, "bucket.empty") as connection:
            await rows.find_bucket(connection, bucket, "id")
        async with self._services.database.transaction(SERVICE, "bucket.empty") as connection:
            cursor = await connection.execute(
                "delete from storage.objects where bucket_id = %s returning name, version", (bucket,)
            )
            removed = await cursor.fetchall()
        for row in removed:
            self._services.files.remove(bucket, row["name"], row["version"])
        return JsonAnswer({"message": "Empty bucket has been queued. Completion may take up to an hour."})

    async def delete(self, request: Request) -> Response:
        caller, bucket = self._services.caller(request), bucket_name(request)
        async with self._services.database.transaction(caller, "bucket.delete") as connection:
            await rows.find_bucket(connection, bucket, "id")
            try:
                cursor = await connection.execute("delete from storage.buckets where id = %s", (bucket,))
            except psycopg.errors.ForeignKeyViolation as error:
                raise bucket_not_empty() from error
        if cursor.rowcount == 0:
            raise no_such_bucket()
        self._services.files.remove_bucket(bucket)
        return JsonAnswer({"message": "Successfully deleted"})


def _settings(body: dict[str, Any]) -> dict[str, Any]:
    """The columns that a request sets; a size may be a number of bytes or such as `20MB`."""
    names = ("public", "file_size_limit", "allowed_mime_types")
    values = {name: body[name] for name in names if name in body}
    if isinstance(values.get("file_size_limit"), str):
        values["file_size_limit"] = _bytes(values["file_size_limit"])
    return values


def _bytes(text: str) -> int:
    if text.isdecimal():
        return int(text)
    match = _SIZE.fullmatch(text)
    if match is None:
        message = "Invalid file size format, hint: use 20GB / 20MB / 30KB / 3B"
        raise StorageError(400, "InvalidRequest", message)
    return int(float(match[1]) * _UNITS[match[2].upper()])
