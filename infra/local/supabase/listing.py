"""Listing a bucket, by folder or page by page, as far as the caller may see it."""

import base64
from typing import Any

from psycopg import sql
from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.local.supabase.errors import invalid_request
from infra.local.supabase.requests import JsonAnswer, Services, bucket_name, json_body

_SORTABLE = ("name", "updated_at", "created_at", "last_accessed_at")

_LIST = """
with entries as (
  select substr(name, length(%(prefix)s) + 1) as path, id, updated_at, created_at, last_accessed_at, metadata
  from storage.objects
  where bucket_id = %(bucket)s and starts_with(name, %(prefix)s)
), items as (
  select path as name, id, updated_at, created_at, last_accessed_at, metadata
  from entries where strpos(path, '/') = 0
  union all
  select distinct split_part(path, '/', 1), null::uuid, null::timestamptz, null::timestamptz, null::timestamptz,
    null::jsonb
  from entries where strpos(path, '/') > 0
)
select * from items
where starts_with(lower(name), lower(%(search)s))
order by {column} {direction} nulls last, name collate "C"
limit %(limit)s offset %(offset)s
"""

_LIST_V2 = """
with entries as (
  select case when %(delimiter)s and strpos(substr(name, length(%(prefix)s) + 1), '/') > 0
      then %(prefix)s || split_part(substr(name, length(%(prefix)s) + 1), '/', 1) || '/' else name end as key,
    id, name, updated_at, created_at, last_accessed_at, metadata
  from storage.objects
  where bucket_id = %(bucket)s and starts_with(name, %(prefix)s)
), items as (
  select distinct on (key collate "C") key, key <> name as is_folder, id, updated_at, created_at,
    last_accessed_at, metadata
  from entries order by key collate "C"
)
select * from items
where %(after)s::text is null or key collate "C" > %(after)s
order by key collate "C"
limit %(limit)s
"""


class Listing:
    """The routes that list objects."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.routes = [
            Route("/object/list/{bucket}", self.list_folder, methods=["POST"]),
            Route("/object/list-v2/{bucket}", self.list_pages, methods=["POST"]),
        ]

    async def list_folder(self, request: Request) -> Response:
        """Files and folders directly below a prefix, mixed; folders have no id."""
        caller = self._services.caller(request)
        body = await json_body(request, "prefix")
        prefix = str(body["prefix"])
        parameters = {
            "bucket": bucket_name(request),
            "prefix": f"{prefix}/" if prefix and not prefix.endswith("/") else prefix,
            "search": body.get("search") or "",
            "limit": _integer(body, "limit", 100),
            "offset": _integer(body, "offset", 0),
        }
        query = sql.SQL(_LIST).format(**_order(body.get("sortBy") or {}))
        async with self._services.database.transaction(caller, "object.list") as connection:
            cursor = await connection.execute(query, parameters)
            return JsonAnswer(await cursor.fetchall())

    async def list_pages(self, request: Request) -> Response:
        """Keys below a prefix in byte order, `limit` at a time; with a delimiter, folders apart."""
        caller = self._services.caller(request)
        body = await json_body(request)
        limit = min(_integer(body, "limit", 1000), 1000)
        parameters = {
            "bucket": bucket_name(request),
            "prefix": body.get("prefix") or "",
            "delimiter": bool(body.get("with_delimiter")),
            "after": _decode_cursor(body.get("cursor")),
            "limit": limit + 1,
        }
        async with self._services.database.transaction(caller, "object.list_v2") as connection:
            cursor = await connection.execute(_LIST_V2, parameters)
            found = await cursor.fetchall()
        page, has_next = found[:limit], len(found) > limit
        next_cursor = {"nextCursor": _encode_cursor(page[-1]["key"])} if has_next else {}
        return JsonAnswer(
            {
                "hasNext": has_next,
                "folders": [_folder(row) for row in page if row["is_folder"]],
                "objects": [_object(row) for row in page if not row["is_folder"]],
                **next_cursor,
            }
        )


def _order(sort_by: dict[str, Any]) -> dict[str, sql.Composable]:
    column, direction = sort_by.get("column") or "name", (sort_by.get("order") or "asc").lower()
    if column not in _SORTABLE or direction not in ("asc", "desc"):
        raise invalid_request("body/sortBy must be equal to one of the allowed values")
    by_bytes = sql.SQL(' collate "C"') if column == "name" else sql.SQL("")
    return {"column": sql.Identifier(column) + by_bytes, "direction": sql.SQL(direction)}


def _integer(body: dict[str, Any], name: str, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise invalid_request(f"body/{name} must be integer")
    return value


def _folder(row: DictRow) -> dict[str, Any]:
    return {"name": row["key"], "key": row["key"].removesuffix("/")}


def _object(row: DictRow) -> dict[str, Any]:
    columns = ("id", "key", "updated_at", "created_at", "last_accessed_at", "metadata")
    return {"name": row["key"], **{column: row[column] for column in columns}}


def _encode_cursor(key: str) -> str:
    return base64.b64encode(key.encode()).decode()


def _decode_cursor(cursor: str | None) -> str | None:
    try:
        return base64.b64decode(cursor, validate=True).decode() if cursor else None
    except ValueError as error:
        raise invalid_request("body/cursor is not valid") from error
