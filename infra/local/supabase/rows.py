"""The SQL on `storage.objects` and `storage.buckets`."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from infra.local.supabase.errors import no_such_bucket, no_such_key
from infra.local.supabase.pool import Connection

_INSERT = """
insert into storage.objects (bucket_id, name, version, owner, owner_id, metadata, user_metadata)
values (%(bucket)s, %(name)s, %(version)s, %(owner)s, %(owner_id)s, %(metadata)s, %(user_metadata)s)
"""

_UPSERT = f"""{_INSERT}
on conflict (bucket_id, name) do update set
  version = excluded.version, owner = excluded.owner, owner_id = excluded.owner_id,
  metadata = excluded.metadata, user_metadata = excluded.user_metadata
"""

_MOVE = """
update storage.objects
set bucket_id = %(to_bucket)s, name = %(to_name)s, version = %(version)s, owner = %(owner)s, owner_id = %(owner_id)s
where bucket_id = %(bucket)s and name = %(name)s
"""

_REMOVE = """
delete from storage.objects where bucket_id = %s and name = any(%s)
returning name, bucket_id, owner, owner_id, version, id, updated_at, created_at, last_accessed_at, metadata,
  user_metadata
"""


@dataclass(frozen=True)
class ObjectRow:
    """A row of `storage.objects` to write."""

    bucket: str
    name: str
    version: str = "1"
    owner: str | None = None
    metadata: dict[str, Any] | None = None
    user_metadata: dict[str, Any] | None = field(default_factory=dict)

    def parameters(self) -> dict[str, Any]:
        return {
            "bucket": self.bucket,
            "name": self.name,
            "version": self.version,
            "owner": _uuid_or_none(self.owner),
            "owner_id": self.owner,
            "metadata": _jsonb(self.metadata),
            "user_metadata": _jsonb(self.user_metadata),
        }


async def write(connection: Connection, row: ObjectRow, upsert: bool) -> None:
    """Inserts; reads nothing back, for which the caller would need a select policy."""
    await connection.execute(_UPSERT if upsert else _INSERT, row.parameters())


async def find(connection: Connection, bucket: str, name: str, columns: str = "*") -> DictRow:
    """The object as the connection's role sees it."""
    cursor = await connection.execute(
        sql.SQL("select {} from storage.objects where bucket_id = %s and name = %s").format(_columns(columns)),
        (bucket, name),
    )
    row = await cursor.fetchone()
    if row is None:
        raise no_such_key()
    return row


async def lock(connection: Connection, bucket: str, name: str) -> None:
    """Waits until no other transaction writes this object."""
    await connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{bucket}/{name}",))


async def current_version(connection: Connection, bucket: str, name: str) -> str | None:
    cursor = await connection.execute(
        "select version from storage.objects where bucket_id = %s and name = %s", (bucket, name)
    )
    row = await cursor.fetchone()
    return row["version"] if row else None


async def object_id(connection: Connection, bucket: str, name: str) -> UUID:
    row = await find(connection, bucket, name, "id")
    identifier: UUID = row["id"]
    return identifier


async def move(connection: Connection, bucket: str, name: str, target: ObjectRow) -> None:
    """Renames an object; one that the role cannot update is not there for it."""
    parameters = {
        **target.parameters(),
        "bucket": bucket,
        "name": name,
        "to_bucket": target.bucket,
        "to_name": target.name,
    }
    cursor = await connection.execute(_MOVE, parameters)
    if cursor.rowcount == 0:
        raise no_such_key()


async def remove(connection: Connection, bucket: str, names: list[str]) -> list[DictRow]:
    """The rows that were removed; what the role cannot delete stays, silently."""
    cursor = await connection.execute(_REMOVE, (bucket, names))
    removed = await cursor.fetchall()
    order = {name: position for position, name in enumerate(names)}
    return sorted(removed, key=lambda row: order[row["name"]])


async def find_bucket(connection: Connection, bucket: str, columns: str = "*") -> DictRow:
    cursor = await connection.execute(
        sql.SQL("select {} from storage.buckets where id = %s").format(_columns(columns)), (bucket,)
    )
    row = await cursor.fetchone()
    if row is None:
        raise no_such_bucket()
    return row


def _columns(names: str) -> sql.Composable:
    if names == "*":
        return sql.SQL("*")
    return sql.SQL(", ").join(sql.Identifier(name.strip()) for name in names.split(","))


def _jsonb(value: dict[str, Any] | None) -> Jsonb | None:
    return None if value is None else Jsonb(value)


def _uuid_or_none(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
