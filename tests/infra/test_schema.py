"""The schema's own rules, read from the catalogue; and that it can be applied again and again."""

import re
from typing import Any

import psycopg
import pytest

from infra.local.stack import Stack
from infra.migrate import INFRA, migrate
from tests.infra.access import ROWS

Database = psycopg.Connection[Any]

CONTRACT = {
    "video_sessions": {
        "id": "integer", "session_id": "character varying(255)", "user_id": "character varying(255)",
        "original_prompt": "text", "video_duration": "integer", "frame_count": "integer",
        "style": "character varying(100)", "mood": "character varying(100)", "status": "character varying(50)",
        "created_at": "timestamp with time zone", "updated_at": "timestamp with time zone",
    },
    "video_frames": {
        "id": "integer", "session_id": "character varying(255)", "frame_number": "integer",
        "timestamp": "character varying(50)", "image_url": "text", "description": "text", "prompt": "text",
        "scene_story": "text", "story_title": "character varying(255)", "story_overview": "text",
        "style": "character varying(100)", "mood": "character varying(100)", "created_at": "timestamp with time zone",
    },
}  # fmt: skip
SNAPSHOT = """
    select 'column', c.oid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
      pg_get_expr(d.adbin, d.adrelid)
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind = 'r'
    union all select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', ''
    from pg_constraint where connamespace in ('public'::regnamespace, 'private'::regnamespace)
    union all select 'index', tablename, indexname, indexdef, '', '' from pg_indexes where schemaname = 'public'
    union all select 'policy', tablename, policyname, cmd, qual, with_check from pg_policies
    union all select 'function', oid::regprocedure::text, prosrc, proacl::text, proconfig::text, prosecdef::text
    from pg_proc where pronamespace in ('public'::regnamespace, 'private'::regnamespace)
    union all select 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), '', ''
    from pg_trigger where not tgisinternal
    union all select 'grant', c.oid::regclass::text, c.relacl::text, '', '', '' from pg_class c
    where c.relnamespace = 'public'::regnamespace
    union all select 'bucket', id, public::text, file_size_limit::text, allowed_mime_types::text, ''
    from storage.buckets
    order by 1, 2, 3, 4
"""


def test_applying_it_again_changes_nothing(stack: Stack, database: Database) -> None:
    before = database.execute(SNAPSHOT).fetchall()
    assert migrate(stack.info["databaseUrl"]) == []
    applied = migrate(stack.info["databaseUrl"], again=True)
    assert len(applied) == len(list(INFRA.glob("schema/*.sql"))) + len(list(INFRA.glob("storage/*.sql")))
    assert database.execute(SNAPSHOT).fetchall() == before
    assert len(before) > 100


def test_only_a_changed_file_is_applied_again(stack: Stack, database: Database) -> None:
    database.execute("update private.migrations set checksum = 'other' where name = 'schema/50_idempotency.sql'")
    assert migrate(stack.info["databaseUrl"]) == ["schema/50_idempotency.sql"]


def test_it_adds_to_tables_that_were_there_before(stack: Stack, database: Database) -> None:
    """Existing data keeps its rows, even ones that no new row could be like."""
    with database.transaction(force_rollback=True):
        database.execute("drop table public.video_sessions cascade")
        database.execute("drop table public.video_frames, public.final_videos, public.video_clips cascade")
        for table, columns in CONTRACT.items():
            listed = ", ".join(f"{name} {kind}" for name, kind in columns.items() if name not in ("id", "session_id"))
            unique = "unique" if table == "video_sessions" else ""
            database.execute(
                f"create table public.{table} (id serial primary key, session_id varchar(255) {unique}, {listed})"
            )
        database.execute(
            "insert into public.video_sessions (session_id, user_id, original_prompt, video_duration, frame_count,"
            " style, mood, status) values ('old', 'u', 'p', 100000, 0, 's', 'm', 'weird')"
        )
        for path in sorted(INFRA.glob("schema/*.sql")):
            database.execute(path.read_bytes())
        row = database.execute("select status, version from public.video_sessions where session_id = 'old'").fetchone()
        assert row == ("weird", 1)


@pytest.mark.parametrize("table", CONTRACT)
def test_columns_of_the_contract_keep_their_names_and_types(database: Database, table: str) -> None:
    found = database.execute(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = %s::regclass and attnum > 0 and not attisdropped",
        (f"public.{table}",),
    ).fetchall()
    assert dict(found).items() >= CONTRACT[table].items()


def test_every_table_is_in_the_rls_suite_and_has_rls_on(database: Database) -> None:
    found = database.execute(
        "select relname, relrowsecurity from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
    ).fetchall()
    assert dict(found) == dict.fromkeys((row.table for row in ROWS.values()), True)


def test_each_policy_is_for_one_operation_and_signed_in_people_only(database: Database) -> None:
    found = database.execute(
        "select tablename, cmd, roles::text[], policyname from pg_policies where schemaname in ('public', 'storage')"
    ).fetchall()
    assert found
    assert all(roles == ["authenticated"] and command != "ALL" for _, command, roles, _ in found)
    granting = [(table, command) for table, command, _, name in found if not name.startswith("API keys ")]
    assert len(set(granting)) == len(granting)
    assert all(len(name) < 63 for *_, name in found)


def test_api_keys_are_held_to_their_scopes_in_every_table(database: Database) -> None:
    restrictive = database.execute(
        "select schemaname || '.' || tablename, cmd from pg_policies where permissive = 'RESTRICTIVE'"
    ).fetchall()
    checked = database.execute(
        "select tgrelid::regclass::text from pg_trigger where tgname = 'check_key_scope' and tgenabled <> 'D'"
    ).fetchall()
    tables = {row.table for row in ROWS.values()} - {"api_keys"}
    assert {table.removeprefix("public.") for (table,) in checked} == tables - {"usage_events"}
    assert set(restrictive) == {(f"public.{table}", "SELECT") for table in tables} | {
        ("storage.objects", command) for command in ("SELECT", "INSERT", "UPDATE", "DELETE")
    }


def test_policies_ask_for_the_caller_once_and_not_per_row(database: Database) -> None:
    expressions = database.execute(
        "select coalesce(qual, '') || coalesce(with_check, '') from pg_policies"
        " where schemaname in ('public', 'storage')"
    ).fetchall()
    for (expression,) in expressions:
        for call in ("auth.uid()", "auth.jwt()", "private.is_guest()"):
            assert expression.count(call) == expression.count(f"SELECT {call}"), expression


def test_every_foreign_key_has_an_index(database: Database) -> None:
    missing = database.execute(
        "select c.conrelid::regclass, c.conname from pg_constraint c where c.contype = 'f'"
        " and c.connamespace = 'public'::regnamespace and not exists (select from pg_index i"
        " where i.indrelid = c.conrelid and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] = c.conkey)"
    ).fetchall()
    assert missing == []


def test_definer_functions_are_hidden_and_have_an_empty_search_path(database: Database) -> None:
    found = database.execute(
        "select pronamespace::regnamespace::text, proname, prosecdef, proconfig from pg_proc"
        " where pronamespace in ('public'::regnamespace, 'private'::regnamespace)"
    ).fetchall()
    for schema, name, definer, configuration in found:
        assert not (definer and schema == "public"), name
        assert 'search_path=""' in (configuration or []), name


def test_nobody_may_call_a_function_unless_it_was_granted(database: Database) -> None:
    open_to_all = database.execute(
        "select p.oid::regprocedure::text from pg_proc p where pronamespace in"
        " ('public'::regnamespace, 'private'::regnamespace) and has_function_privilege('anon', p.oid, 'execute')"
    ).fetchall()
    assert open_to_all == []


def test_every_table_and_function_is_commented(database: Database) -> None:
    silent = database.execute(
        "select c.oid::regclass::text from pg_class c where relkind = 'r'"
        " and relnamespace in ('public'::regnamespace, 'private'::regnamespace) and obj_description(c.oid) is null"
        " union all select p.oid::regprocedure::text from pg_proc p"
        " where pronamespace in ('public'::regnamespace, 'private'::regnamespace) and obj_description(p.oid) is null"
    ).fetchall()
    assert silent == []


LEGAL = {
    "video_sessions": {
        "frames_generated": {"generating"},
        "generating": {"completed", "failed"},
        "completed": {"generating"},
        "failed": {"generating"},
    },
    "final_videos": {
        "queued": {"rendering", "failed", "canceled"},
        "rendering": {"merging", "completed", "failed", "canceled"},
        "merging": {"completed", "failed", "canceled"},
        "completed": set(),
        "failed": set(),
        "canceled": set(),
    },
    "uploads": {
        "waiting": {"processing", "rejected", "expired"},
        "processing": {"ready", "rejected", "waiting"},
        "expired": {"processing", "rejected"},
        "ready": set(),
        "rejected": set(),
    },
    "webhook_deliveries": {
        "pending": {"delivering", "failed"},
        "delivering": {"pending", "delivered", "failed"},
        "delivered": set(),
        "failed": set(),
    },
    "video_clips": {
        "queued": {"rendering", "completed", "failed", "canceled"},
        "rendering": {"queued", "completed", "failed", "canceled"},
        "completed": set(),
        "failed": set(),
        "canceled": set(),
    },
}


@pytest.mark.parametrize("table", LEGAL)
def test_only_legal_changes_of_a_status_are_made(database: Database, table: str) -> None:
    for old in LEGAL[table]:
        for new in LEGAL[table]:
            with database.transaction(force_rollback=True):
                row = row_with_status(database, table, old)
                legal = old == new or new in LEGAL[table][old]
                try:
                    database.execute(f"update public.{table} set status = %s where id = %s", (new, row))
                except psycopg.errors.CheckViolation:
                    assert not legal, (old, new)
                else:
                    assert legal, (old, new)


def row_with_status(database: Database, table: str, status: str) -> object:
    database.execute(
        "insert into public.video_sessions (session_id, user_id, original_prompt, video_duration, frame_count, style,"
        " mood, status) values ('s', 'u', 'p', 5, 1, 's', 'm', %s)",
        (status if table == "video_sessions" else "frames_generated",),
    )
    queries = {
        "video_sessions": "select id from public.video_sessions where session_id = 's' and status = %s",
        "uploads": "insert into public.uploads (user_id, kind, content_type, bytes, status)"
        " values ('u', 'audio', 'audio/mpeg', 1, %s) returning id",
        "webhook_deliveries": "insert into public.webhook_deliveries (user_id, url, event_id, type, payload, status)"
        " values ('u', 'https://r.example/', 'evt_1', 'ping', '{}', %s) returning id",
        "final_videos": "insert into public.final_videos (session_id, status) values ('s', %s) returning id",
        "video_clips": "with video as (insert into public.final_videos (session_id) values ('s') returning id)"
        " insert into public.video_clips (session_id, final_video_id, clip_number, frame_number, start_seconds,"
        " duration_seconds, status) select 's', id, 1, 1, 0, 5, %s from video returning id",
    }
    found = database.execute(queries[table], (status,)).fetchone()
    assert found
    return found[0]


def test_a_status_that_does_not_exist_is_refused(database: Database) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        row_with_status(database, "video_sessions", "almost")


def test_updated_at_is_kept_by_the_database(database: Database) -> None:
    with database.transaction(force_rollback=True):
        row_with_status(database, "video_sessions", "frames_generated")
        database.execute(
            "update public.video_sessions set updated_at = '2000-01-01', mood = 'x' where session_id = 's'"
        )
        found = database.execute(
            "select updated_at > now() - interval '1 hour' from public.video_sessions where session_id = 's'"
        ).fetchone()
    assert found == (True,)


@pytest.mark.parametrize("path", sorted(INFRA.glob("storage/*.sql")), ids=lambda path: path.name)
def test_storage_sql_does_nothing_that_a_hosted_project_forbids(path: object) -> None:
    text = path.read_text().lower()  # type: ignore[attr-defined]
    for forbidden in ("alter table storage.", "comment on policy", "delete from storage."):
        assert forbidden not in text
    # A trigger there runs within every write of an app: there is the one that may fail without harm.
    triggers = re.findall(r"create(?: or replace)? trigger \w+", text)
    announces = path.name == "03_storage_webhook.sql"  # type: ignore[attr-defined]
    assert triggers == (["create or replace trigger videomaker_announce_object"] if announces else [])
