"""The database that a project's own SQL starts from is as on the platform."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from infra.local.postgres import BOOTSTRAP
from infra.local.stack import Stack

Database = psycopg.Connection[Any]


@pytest.fixture
def project(stack: Stack) -> Iterator[Database]:
    """What a project's migrations log in as; nothing that they do stays."""
    with psycopg.connect(stack.info["databaseUrl"]) as connection:
        yield connection
        connection.rollback()


def test_the_bootstrap_can_be_applied_again_and_keeps_what_there_is(database: Database) -> None:
    address = f"{uuid4()}@example.com"
    database.execute("insert into auth.users (email) values (%s)", (address,))

    database.execute(BOOTSTRAP.read_text().encode())

    found = database.execute("select count(*) from auth.users where email = %s", (address,)).fetchone()
    assert found == (1,)


def test_a_project_may_make_policies_and_triggers_on_objects(project: Database) -> None:
    project.execute("create policy mine on storage.objects for select to anon using (true)")
    project.execute("alter policy mine on storage.objects using (false)")
    project.execute("drop policy mine on storage.objects")
    project.execute("create function public.noop() returns trigger language plpgsql as 'begin return new; end'")
    project.execute("create trigger mine after insert on storage.objects execute function public.noop()")
    project.execute("drop trigger mine on storage.objects")


@pytest.mark.parametrize(
    "statement",
    [
        "alter table storage.objects disable row level security",
        "alter table storage.objects add column mine text",
        "alter table storage.buckets add column mine text",
        "comment on table storage.objects is 'mine'",
        "create table auth.mine ()",
        "create role mine superuser",
        "delete from storage.objects",
        "delete from storage.buckets",
    ],
)
def test_what_the_platform_refuses_is_refused(project: Database, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        project.execute(statement.encode())


def test_new_tables_are_open_to_the_api_roles(project: Database) -> None:
    project.execute("create table public.mine (id serial primary key)")

    for role in ("anon", "authenticated", "service_role"):
        project.execute(f"set local role {role}".encode())
        project.execute("insert into public.mine default values")
        project.execute("reset role")


def test_tables_may_join_the_realtime_publication(project: Database) -> None:
    project.execute("create table public.mine (id serial primary key)")
    project.execute("alter publication supabase_realtime add table public.mine")


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ('{"sub": "11111111-1111-4111-8111-111111111111", "role": "authenticated", "email": "a@b.c"}',
         ("11111111-1111-4111-8111-111111111111", "authenticated", "a@b.c")),
        ("", (None, None, None)),
        ("{}", (None, None, None)),
    ],
)  # fmt: skip
def test_the_claims_functions_read_the_requests_token(project: Database, claims: str, expected: object) -> None:
    project.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
    project.execute("set local role anon")

    assert project.execute("select auth.uid()::text, auth.role(), auth.email()").fetchone() == expected


def test_objects_are_hidden_from_the_api_roles_until_there_is_a_policy(project: Database) -> None:
    project.execute("insert into storage.buckets (id, name) values ('mine', 'mine')")
    project.execute("insert into storage.objects (bucket_id, name) values ('mine', 'a')")

    def visible(role: str) -> object:
        project.execute(f"set local role {role}".encode())
        found = project.execute("select count(*) from storage.objects where bucket_id = 'mine'").fetchone()
        project.execute("reset role")
        return found

    assert [visible(role) for role in ("anon", "authenticated", "service_role")] == [(0,), (0,), (1,)]
