"""The users of a project, and their passwords."""

import asyncio
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from infra.local.supabase.auth_errors import AuthError, bad_json, user_not_found, validation_failed, weak_password
from infra.local.supabase.pool import Connection

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_MINIMUM_PASSWORD_LENGTH = 6


async def hash_password(password: str) -> str:
    """A salted scrypt hash, made outside the event loop."""
    if len(password) < _MINIMUM_PASSWORD_LENGTH:
        raise weak_password(f"Password should be at least {_MINIMUM_PASSWORD_LENGTH} characters.", "length")
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${(await _scrypt(password, salt)).hex()}"


async def is_password(password: str, stored: str | None) -> bool:
    """Whether the password is the stored one; takes as long where none is stored."""
    _, salt, digest = (stored or "scrypt$00$00").split("$")
    return hmac.compare_digest(await _scrypt(password, bytes.fromhex(salt)), bytes.fromhex(digest))


async def _scrypt(password: str, salt: bytes) -> bytes:
    return await asyncio.to_thread(hashlib.scrypt, password.encode(), salt=salt, n=2**14, r=8, p=1)


def valid_email(value: object) -> str:
    if not isinstance(value, str) or not _EMAIL.fullmatch(value):
        raise validation_failed("Unable to validate email address: invalid format")
    return value.lower()


def metadata_object(value: object) -> dict[str, Any]:
    """User or app metadata as sent; an absent one is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_json()
    return value


async def insert(connection: Connection, values: Mapping[str, Any]) -> DictRow:
    """A new user with these columns; the address must be free."""
    query = sql.SQL("insert into auth.users ({}) values ({}) returning *").format(
        sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(sql.Placeholder() * len(values))
    )
    return await _one(connection, query, _adapted(values))


async def update(connection: Connection, user_id: UUID, values: Mapping[str, Any]) -> DictRow:
    """Changes these columns; metadata is merged into what there is."""
    assignments = [_assignment(column) for column in (*values, "updated_at")]
    query = sql.SQL("update auth.users set {} where id = %s returning *").format(sql.SQL(", ").join(assignments))
    return await _one(connection, query, [*_adapted(values), datetime.now(UTC), user_id])


async def find(connection: Connection, user_id: str | UUID) -> DictRow:
    try:
        identifier = UUID(str(user_id))
    except ValueError as error:
        raise validation_failed("user_id must be an UUID") from error
    return await _one(connection, sql.SQL("select * from auth.users where id = %s"), [identifier])


async def find_by_email(connection: Connection, email: object) -> DictRow | None:
    cursor = await connection.execute("select * from auth.users where lower(email) = lower(%s)", (str(email),))
    return await cursor.fetchone()


async def page(connection: Connection, number: int, size: int) -> tuple[list[DictRow], int]:
    """One page of all users, newest first, and how many there are in total."""
    cursor = await connection.execute(
        "select * from auth.users order by created_at desc, id limit %s offset %s", (size, (number - 1) * size)
    )
    found = await cursor.fetchall()
    total = await (await connection.execute("select count(*) as total from auth.users")).fetchone()
    return found, total["total"] if total else 0


async def delete(connection: Connection, user_id: UUID) -> None:
    await connection.execute("delete from auth.users where id = %s", (user_id,))


def as_json(user: DictRow) -> dict[str, Any]:
    """The user as the API shows it."""
    confirmed_at = _moment(user["email_confirmed_at"])
    return {
        "id": str(user["id"]),
        "aud": user["aud"],
        "role": user["role"],
        "email": user["email"] or "",
        "email_confirmed_at": confirmed_at,
        "confirmed_at": confirmed_at,
        "phone": user["phone"] or "",
        "last_sign_in_at": _moment(user["last_sign_in_at"]),
        "app_metadata": user["raw_app_meta_data"],
        "user_metadata": user["raw_user_meta_data"],
        "identities": [],
        "created_at": _moment(user["created_at"]),
        "updated_at": _moment(user["updated_at"]),
        "is_anonymous": user["is_anonymous"],
    }


async def _one(connection: Connection, query: sql.SQL | sql.Composed, parameters: list[Any]) -> DictRow:
    try:
        cursor = await connection.execute(query, parameters)
    except psycopg.errors.UniqueViolation as error:
        message = "A user with this email address has already been registered"
        raise AuthError(422, "email_exists", message) from error
    row = await cursor.fetchone()
    if row is None:
        raise user_not_found()
    return row


def _assignment(column: str) -> sql.Composed:
    if column.startswith("raw_"):
        return sql.SQL("{0} = {0} || %s").format(sql.Identifier(column))
    return sql.SQL("{} = %s").format(sql.Identifier(column))


def _adapted(values: Mapping[str, Any]) -> list[Any]:
    return [Jsonb(value, json.dumps) if isinstance(value, dict) else value for value in values.values()]


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
