"""The schema breaks none of the rules of Supabase's database linter (splinter), which its dashboard shows as advice.

Each rule is a query of what breaks it, and comes with a change that does, so that a rule which notices nothing fails.
Not here: 0002 and 0016 to 0019 are about views, foreign tables and queues, and there are none (`views`); 0005 and 0020
are about the traffic of a project; 0012 warns of policies that let guests in, which is what is wanted, and
`tests/infra/access.py` says where; 0022 and 0025 are about the server's extensions; 0026 and 0027 about pg_graphql,
which shows a caller nothing that row level security does not.
"""

from typing import Any, NamedTuple

import psycopg
import pytest

from infra.local.stack import Stack

OURS = "('public', 'private')"
TABLES = (
    "(select c.oid, c.relname, c.relrowsecurity, n.nspname"
    " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    f" where n.nspname in {OURS} and c.relkind in ('r', 'p')) c"
)


class Rule(NamedTuple):
    """What breaks a rule, and a change that does."""

    offenders: str
    violation: str


RULES = {
    "0001 unindexed foreign keys": Rule(
        f"select k.conname from pg_constraint k join {TABLES} on k.conrelid = c.oid where k.contype = 'f'"
        " and not exists (select from pg_index i where i.indrelid = c.oid"
        " and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)",
        "create table public.x (id int primary key,"
        " session_id varchar(255) references public.video_sessions (session_id))",
    ),
    "0003 callers asked for once a row": Rule(
        "select policyname from pg_policies, unnest(array[qual, with_check]) rule"
        r" where schemaname in ('public', 'private', 'storage')"
        r" and regexp_replace(rule, 'SELECT (auth|private)\.\w+\(', '', 'g') ~"
        r" '(auth\.(uid|jwt|role|email)|private\.is_(guest|person|api_key)|current_setting)\('",
        'create policy "x" on public.video_frames for select to authenticated using (auth.uid() is not null)',
    ),
    "0004 no primary key": Rule(
        f"select c.relname from {TABLES}"
        " where not exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'p')"
        # A log of tries, of which several may be made at the same moment.
        " and c.relname not in ('share_tries')",
        "create table public.x (id int)",
    ),
    "0006 several permissive policies for one operation": Rule(
        "select tablename from pg_policies where permissive = 'PERMISSIVE' and schemaname in ('public', 'storage')"
        " group by schemaname, tablename, cmd, roles having count(*) > 1",
        'create policy "x" on public.video_frames for select to authenticated using (session_id = mood)',
    ),
    "0007 policies without row level security": Rule(
        f"select c.relname from {TABLES} where not c.relrowsecurity"
        " and exists (select from pg_policy p where p.polrelid = c.oid)",
        "alter table public.video_frames disable row level security",
    ),
    "0008 row level security without a policy": Rule(
        f"select c.relname from {TABLES} where c.nspname = 'public' and c.relrowsecurity"
        " and not exists (select from pg_policy p where p.polrelid = c.oid and p.polpermissive)"
        # Nobody's but for the database's own functions, which pass by.
        " and has_table_privilege('authenticated', c.oid, 'select, insert, update, delete')",
        "create table public.x (id int primary key); alter table public.x enable row level security;"
        " grant select on public.x to authenticated",
    ),
    "0009 duplicate indexes": Rule(
        f"select min(i.indexrelid::regclass::text) from pg_index i join {TABLES} on i.indrelid = c.oid"
        " group by i.indrelid, i.indkey::text, i.indclass::text, i.indpred::text, i.indexprs::text, i.indoption::text,"
        " (select amname from pg_class x join pg_am a on a.oid = x.relam where x.oid = i.indexrelid)"
        " having count(*) > 1",
        "create index x on public.video_frames (image_path)",
    ),
    "0010 views, which act as their owner": Rule(
        f"select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace and n.nspname in {OURS}"
        " where c.relkind in ('v', 'm', 'f')",
        "create view public.x as select id from auth.users",
    ),
    "0011 mutable search paths": Rule(
        "select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        f" where n.nspname in {OURS} and not coalesce(proconfig, '{{}}') @> array['search_path=\"\"']",
        "create function public.x() returns integer language sql as 'select 1'",
    ),
    "0013 tables of the API without row level security": Rule(
        f"select c.relname from {TABLES} where not c.relrowsecurity",
        "create table public.x (id int primary key)",
    ),
    "0014 extensions in public": Rule(
        "select extname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where n.nspname = 'public'",
        "update pg_extension set extnamespace = 'public'::regnamespace",
    ),
    "0015 rules that trust what users write of themselves": Rule(
        "select policyname from pg_policies, unnest(array[qual, with_check]) rule where rule like '%user_metadata%'"
        " union all select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        f" where n.nspname in {OURS} and prosrc ~ '(jwt|claims).*user_metadata'",
        'create policy "x" on public.video_frames for delete to authenticated'
        " using (((select auth.jwt()) -> 'user_metadata' ->> 'role') = 'admin')",
    ),
    "0021 a foreign key to a users table that is not unique": Rule(
        f"select k.conname from pg_constraint k join {TABLES} on k.conrelid = c.oid"
        " where k.contype = 'f' and k.confrelid = 'auth.users'::regclass",
        "create table public.x (id int primary key, owner uuid references auth.users (id))",
    ),
    "0023 columns of secrets that callers can read": Rule(
        f"select c.relname || '.' || a.attname from {TABLES}"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        " where c.nspname = 'public' and a.attname ~ '(secret|token|password|key_hash|api_key|nonce)'"
        " and a.attname !~ '^has_'"
        " and has_column_privilege('authenticated', c.oid, a.attnum, 'select')",
        "grant select (token_hash) on public.share_links to authenticated",
    ),
    "0024 policies that are always true": Rule(
        "select policyname from pg_policies where schemaname in ('public', 'storage') and permissive = 'PERMISSIVE'"
        " and (btrim(qual, '()') = 'true' or btrim(with_check, '()') = 'true')",
        'create policy "x" on public.video_frames for select to authenticated using (true)',
    ),
    "0025 buckets that can be listed by everybody": Rule(
        "select policyname from pg_policies where tablename = 'objects' and cmd = 'SELECT'"
        " and not roles <@ '{authenticated}'::name[]",
        "create policy \"x\" on storage.objects for select to anon using (bucket_id = 'videomaker')",
    ),
    "0028 definer functions that nobody need sign in for": Rule(
        "select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        f" where n.nspname in {OURS} and prosecdef and has_function_privilege('anon', p.oid, 'execute')",
        "grant execute on function private.find_api_key() to anon",
    ),
    "0029 definer functions of the API": Rule(
        "select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        " where n.nspname = 'public' and prosecdef",
        "create function public.x() returns integer language sql security definer set search_path = '' as 'select 1'",
    ),
    "0030 invalid indexes": Rule(
        f"select i.indexrelid::regclass::text from pg_index i join {TABLES} on i.indrelid = c.oid"
        " where not i.indisvalid",
        "update pg_index set indisvalid = false where indexrelid = 'public.video_frames_image_path_idx'::regclass",
    ),
}


@pytest.fixture
def undone(stack: Stack) -> Any:
    """A connection of which nothing stays."""
    with psycopg.connect(stack.superuser_url) as connection:
        yield connection
        connection.rollback()


def broken(connection: psycopg.Connection[Any], rule: Rule) -> list[str]:
    return [name for (name,) in connection.execute(rule.offenders).fetchall()]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_kept(undone: psycopg.Connection[Any], name: str) -> None:
    assert broken(undone, RULES[name]) == []


@pytest.mark.parametrize("name", RULES)
def test_a_rule_notices_what_breaks_it(undone: psycopg.Connection[Any], name: str) -> None:
    undone.execute("set local allow_system_table_mods = on")
    undone.execute(RULES[name].violation)
    assert broken(undone, RULES[name]) != []
