"""The generated population is as if people had made it: whole, theirs, and to be found."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from infra.local.population import FEW, FRAMES, populate, subject_of
from infra.local.stack import Stack
from tests.conftest import temporary_state
from tests.infra.access import Database

# Each row that a trigger would have written, and what it was written for.
WRITTEN = {
    "private.session_documents": "public.video_sessions",
    "private.render_usage": "public.final_videos",
    "public.video_template_versions": "public.video_templates",
}
# What a foreign key would have refused.
ORPHANS = """
    select format('select %L from %s c where not exists (select from %s p where p.%I = c.%I) limit 1',
      c.conname, c.conrelid::regclass, c.confrelid::regclass, p.attname, a.attname)
    from pg_constraint c
    join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    join pg_attribute p on p.attrelid = c.confrelid and p.attnum = c.confkey[1]
    where c.contype = 'f' and c.confrelid = any (
      '{public.video_sessions,public.final_videos,public.video_templates}'::regclass[])
"""


@pytest.fixture(scope="module")
def filled() -> Iterator[Database]:
    """A connection to a stack's database with few people in it."""
    with temporary_state() as folder, Stack(folder, port=0) as stack:
        populate(stack, FEW)
        with psycopg.connect(stack.superuser_url, autocommit=True) as connection:
            yield connection


def one(database: Database, query: str, *values: object) -> Any:
    found = database.execute(query, values).fetchone()
    assert found is not None
    return found[0]


def pages(database: Database, person: int, search: str | None = None) -> list[dict[str, Any]]:
    """Return what a person's first page of history shows."""
    with database.transaction(force_rollback=True):
        claims = json.dumps({"sub": subject_of(person), "role": "authenticated"})
        database.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        database.execute("set local role authenticated")
        found: list[dict[str, Any]] = one(database, "select public.list_history('all', '{}', 100, %s)", search)
        return found


def test_there_is_as_much_as_was_asked_for(filled: Database) -> None:
    assert one(filled, "select count(*) from public.video_sessions") == FEW.sessions
    assert one(filled, "select count(*) from public.video_frames") == FEW.sessions * FRAMES
    assert one(filled, "select count(distinct user_id) from public.video_sessions") == FEW.users


def test_people_see_their_own_sessions_and_those_they_were_invited_to(filled: Database) -> None:
    ordinary, heavy = pages(filled, 0), pages(filled, 1)
    assert [row["caller_role"] for row in ordinary].count("owner") == 10
    assert {row["caller_role"] for row in ordinary} == {"owner", "editor", "viewer"}
    assert len([row for row in heavy if row["caller_role"] == "owner"]) >= 40
    assert all(len(row["frames"]) == 4 for row in ordinary + heavy)


def test_a_search_ranks_and_leaves_out(filled: Database) -> None:
    found = pages(filled, 1, "lantern")
    assert 0 < len(found) < len(pages(filled, 1))
    assert len({row["rank"] for row in found}) > 1


@pytest.mark.parametrize("table", WRITTEN)
def test_what_triggers_would_have_written_is_there(filled: Database, table: str) -> None:
    assert one(filled, f"select count(*) from {table}") >= one(filled, f"select count(*) from {WRITTEN[table]}") > 0


def test_nothing_hangs_on_what_is_not_there(filled: Database) -> None:
    queries = filled.execute(ORPHANS).fetchall()
    assert len(queries) > 3
    assert [filled.execute(query).fetchall() for (query,) in queries] == [[]] * len(queries)
