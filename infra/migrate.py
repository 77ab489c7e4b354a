"""Applies the schema and the storage policies to a Supabase project's database.

Each file of `infra/schema` and `infra/storage` is idempotent SQL. `private.migrations` records what was applied, so
that only new and changed files run; all of them in one transaction, under a lock.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg

INFRA = Path(__file__).parent
_LOCK = 7_640_891_576  # any constant of our own; held until the transaction ends
_LEDGER = """
create schema if not exists private;
create table if not exists private.migrations (
  name text primary key,
  checksum text not null,
  applied_at timestamptz not null default now()
);
comment on table private.migrations is 'Which SQL files were applied here, by the SHA-256 of their text.';
alter table private.migrations enable row level security;
revoke all on private.migrations from public, anon, authenticated;
"""
_TARGET = """
insert into private.webhook_targets (name, url, secret) values ('storage_webhook', %s, %s)
on conflict (name) do update set url = excluded.url, secret = excluded.secret
"""


def migrate(
    database_url: str,
    *,
    bucket_access: str | None = None,
    storage_webhook: tuple[str, str] | None = None,
    again: bool = False,
) -> list[str]:
    """Apply new and changed files and return their names; with `again`, all of them.

    `bucket_access` is `public` or `private`; without it the bucket is made public and an existing one left alone.
    `storage_webhook` is the address of that function and its secret; without it an earlier one stays.
    """
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        cursor.execute("set local client_min_messages = warning")
        cursor.execute(_LEDGER)
        cursor.execute("select set_config('videomaker.bucket_access', %s, true)", (bucket_access or "",), prepare=False)
        cursor.execute("select name, checksum from private.migrations")
        applied: dict[str, str] = dict(cursor.fetchall())
        changed = []
        for name, sql in _files():
            # What the operator asks of the bucket is part of what was applied.
            checksum = hashlib.sha256(f"{sql}{bucket_access or ''}".encode()).hexdigest()
            if applied.get(name) == checksum and not again:
                continue
            cursor.execute(sql.encode())
            cursor.execute(
                "insert into private.migrations (name, checksum) values (%s, %s)"
                " on conflict (name) do update set checksum = excluded.checksum, applied_at = now()",
                (name, checksum),
            )
            changed.append(name)
        if storage_webhook:
            cursor.execute(_TARGET, storage_webhook)
        if changed:
            cursor.execute("select private.guard_tables()")
            cursor.execute("notify pgrst, 'reload schema'")
    return changed


def _files() -> Iterator[tuple[str, str]]:
    for folder in ("schema", "storage"):
        for path in sorted((INFRA / folder).glob("*.sql")):
            yield f"{folder}/{path.name}", path.read_text(encoding="utf-8")


def main() -> int:
    """Apply to the database given as an argument or as DATABASE_URL, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database_url", nargs="?", default=os.environ.get("DATABASE_URL"))
    parser.add_argument("--again", action="store_true", help="apply every file, changed or not")
    arguments = parser.parse_args()
    if not arguments.database_url:
        parser.error("give the database URL as an argument or as DATABASE_URL")
    bucket_access = os.environ.get("BUCKET_ACCESS") or None
    if bucket_access not in (None, "public", "private"):
        parser.error("BUCKET_ACCESS is public or private")
    url, secret = (os.environ.get(f"STORAGE_WEBHOOK_{name}") for name in ("URL", "SECRET"))
    if bool(url) != bool(secret):
        parser.error("give STORAGE_WEBHOOK_URL and STORAGE_WEBHOOK_SECRET together")
    changed = migrate(
        arguments.database_url,
        bucket_access=bucket_access,
        storage_webhook=(url, secret) if url and secret else None,
        again=arguments.again,
    )
    sys.stdout.write("".join(f"applied {name}\n" for name in changed) or "nothing to apply\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
