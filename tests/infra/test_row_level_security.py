"""Who may do what, as one table of expectations, tried in full through the real API with real tokens.

That these tests can fail is proved here too: with row level security off, with each policy dropped in turn, and with
each rule that policies ask changed in turn, some attempt ends otherwise than the table says.
"""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import psycopg
import pytest

from infra.local.keys import Keys
from infra.local.stack import Stack
from tests.infra.access import FILE_OPERATIONS, OPERATIONS, PEOPLE, ROWS, Database, World

NAMES = [person.name for person in PEOPLE]

SIGNED_IN = "owner editor viewer former invited stranger guest"

# With a row of the owner's, or of the owner's session. Nobody else may do anything.
MAY = {
    #                               select                        insert          update          delete
    "video_sessions":              ("owner editor viewer",        "owner",        "owner editor", "owner"),
    "session_members":             ("owner editor viewer",        "",             "",             ""),
    "session_members: invitation": ("owner invited",              "",             "",             ""),
    "session_members: former":     ("owner",                      "",             "",             ""),
    "video_frames":                ("owner editor viewer",        "owner editor", "owner editor", "owner editor"),
    "final_videos":                ("owner editor viewer",        "",             "",             ""),
    "video_clips":                 ("owner editor viewer",        "",             "",             ""),
    "idempotency_keys":            ("owner",                      "owner",        "owner",        "owner"),
    "uploads":                     ("owner",                      "owner",        "",             ""),
    "api_keys":                    ("owner",                      "owner",        "",             "owner"),
    "video_templates":             ("owner",                      "owner",        "owner",        "owner"),
    "video_templates: built in":   (SIGNED_IN,                    "",             "",             ""),
    "video_template_versions":     ("owner",                      "",             "",             ""),
    "usage_events":                ("owner",                      "",             "",             ""),
    "usage_daily":                 ("owner",                      "",             "",             ""),
    "batches":                     ("owner",                      "",             "",             ""),
    "batch_items":                 ("owner",                      "",             "",             ""),
    "share_links":                 ("owner editor",               "owner editor", "owner editor", ""),
    "webhook_endpoints":           ("owner",                      "owner",        "owner",        "owner"),
    "webhook_deliveries":          ("owner",                      "",             "",             ""),
}  # fmt: skip

# With a file of the private media bucket, or beside it in its folder; and whose file it is. `{self}` is who tries.
MAY_FILES = {
    #                            read                          add       copy      change    remove
    "{owner}/frames/own.png":   ("owner",                      "owner",  "owner",  "owner",  "owner"),
    "{owner}/frames/shown.png": ("owner editor viewer",        "owner",  "owner",  "owner",  "owner"),
    "{editor}/frames/shown.png":("owner editor viewer",        "editor", "editor", "editor", "editor"),
    "{former}/frames/shown.png":("owner editor viewer former", "former", "former", "",       ""),
    "guests/frames/one.png":    ("",                           "guest",  "",       "",       ""),
    "{self}/frames/own.png":    ("owner editor viewer former invited stranger guest",) * 5,
}  # fmt: skip

# The owner's API keys may what the owner may, or only read it. Keys themselves are nothing for them.
READING, CHANGING = {"read_key", "write_key", "render_key"}, {"write_key", "render_key"}


def may(people: str, person: str, *, reading: bool) -> bool:
    """Return whether the person is one of these, or an API key that acts for one."""
    keys = READING if reading else CHANGING
    return person in people.split() or ("owner" in people.split() and person in keys)


@pytest.fixture(scope="module")
def world(stack: Stack, keys: Keys) -> Iterator[World]:
    """The world, with a private bucket: files of a public one can be read by anybody who has the URL. What is put there
    is left as it is: the function that is told of new files is not.
    """
    with psycopg.connect(stack.superuser_url, autocommit=True) as database:
        database.execute("update storage.buckets set public = false where id = 'videomaker'")
        database.execute("update private.webhook_targets set name = 'paused' where name = 'storage_webhook'")
        try:
            yield World(stack, database, keys)
        finally:
            database.execute("update private.webhook_targets set name = 'storage_webhook' where name = 'paused'")
            database.execute("update storage.buckets set public = true where id = 'videomaker'")


def allowed(name: str, person: str) -> set[str]:
    return {
        operation
        for operation, people in zip(OPERATIONS, MAY[name], strict=True)
        if (person in people.split() if name == "api_keys" else may(people, person, reading=operation == "select"))
    }


def allowed_files(path: str, person: str) -> set[str]:
    kinds = (
        kind
        for kind, people in zip(FILE_OPERATIONS, MAY_FILES[path], strict=True)
        if may(people, person, reading=kind == "read")
    )
    return set(chain.from_iterable(FILE_OPERATIONS[kind] for kind in kinds))


@pytest.mark.parametrize("person", NAMES)
@pytest.mark.parametrize("name", MAY)
def test_a_row_is_for_whom_the_table_says(world: World, name: str, person: str) -> None:
    done = {operation for operation in OPERATIONS if world.attempt(person, name, operation)}
    assert done == allowed(name, person)


@pytest.mark.parametrize("person", NAMES)
@pytest.mark.parametrize("path", MAY_FILES)
def test_a_file_is_for_whom_the_table_says(world: World, path: str, person: str) -> None:
    assert set(world.attempt_files(person, path)) == allowed_files(path, person)


def test_the_table_names_every_kind_of_row_and_only_people_that_there_are() -> None:
    assert MAY.keys() == ROWS.keys()
    assert set(" ".join(chain.from_iterable([*MAY.values(), *MAY_FILES.values()])).split()) <= set(NAMES)


# That they can fail


def noticed(world: World, name: str, people: list[str] = NAMES) -> str | None:
    """Return the first attempt with such a row or file that ends otherwise than the table says."""
    for person in people:
        done, expected = (
            (set(world.attempt_files(person, name)), allowed_files(name, person))
            if name in MAY_FILES
            else ({one for one in OPERATIONS if world.attempt(person, name, one)}, allowed(name, person))
        )
        if done != expected:
            return f"{person} and {name}: {done ^ expected}"
    return None


@contextmanager
def without(database: Database, table: str, policy: str) -> Iterator[None]:
    """Drop a policy, and make it again."""
    found = database.execute(
        "select format('create policy %%I on %%I.%%I as %%s for %%s to %%s %%s %%s', policyname, schemaname, tablename,"
        " permissive, cmd, array_to_string(roles, ', '), 'using (' || qual || ')', 'with check (' || with_check || ')')"
        " from pg_policies where schemaname || '.' || tablename = %s and policyname = %s",
        (table, policy),
    ).fetchone()
    assert found
    database.execute(f'drop policy "{policy}" on {table}')
    try:
        yield
    finally:
        database.execute(found[0])


# "API keys read while they are valid" changes nothing for rows that are there where those of another table are.
SHADOWED = {"public.batch_items": "batches", "public.video_template_versions": "video_templates"}
TABLES = ["storage.objects", *sorted({f"public.{row.table}" for row in ROWS.values()})]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.timeout(900)
def test_each_policy_is_missed_when_it_is_dropped(world: World, table: str) -> None:
    """Restrictive ones are missed where API keys then can more."""
    names = [name for name, row in ROWS.items() if f"public.{row.table}" == table] or MAY_FILES
    policies = world.database.execute(
        "select policyname, permissive from pg_policies where schemaname || '.' || tablename = %s", (table,)
    ).fetchall()
    assert policies
    for policy, permissive in policies:
        people = NAMES if permissive == "PERMISSIVE" else [person.name for person in PEOPLE if person.acts_for]
        with without(world.database, table, policy):
            missed = any(noticed(world, name, people) for name in names)
        assert missed == (permissive == "PERMISSIVE" or table not in SHADOWED), policy
        world.fresh()
    assert not any(noticed(world, name, ["owner"]) for name in names), "the policies are not back"


# A rule that policies ask, what somebody could make of it by mistake, and where that must be noticed.
MISTAKES = {
    "members who have gone still read": (
        "private.shared_sessions(text[])", "and m.status = 'accepted'", "", "video_sessions"),
    "members who have gone still read what hangs on the session": (
        "private.readable_sessions()", "and m.status = 'accepted'", "", "video_frames"),
    "members do not read": (
        "private.readable_sessions()", "m.user_id = caller and", "false and", "final_videos"),
    "viewers edit the session": (
        "private.shared_sessions(text[])", "and m.role = any (p_roles)", "", "video_sessions"),
    "viewers edit what hangs on the session": (
        "private.editable_sessions()", "and m.role = 'editor'", "", "video_frames"),
    "everybody reads": (
        "private.readable_sessions()", "where s.user_id = caller", "", "video_clips"),
    "everybody owns": (
        "private.owned_sessions()", "where s.user_id = caller", "", "session_members"),
    "invitations are for nobody": (
        "private.caller_email()", "nullif(", "nullif('x' || ", "session_members: invitation"),
    "any file of a session may be read": (
        "private.can_read_file(text)", "private.role_in(s.session_id) is not null", "true", "{owner}/frames/shown.png"),
    "members who have gone still have a role": (
        "private.role_in(text)", "and m.status = 'accepted'", "", "{owner}/frames/shown.png"),
    "only owners have a role": (
        "private.role_in(text)", "m.user_id = caller", "false", "{owner}/frames/shown.png"),
    "members who have gone take their files with them": (
        "private.is_given_away(text)", "m.has_edited", "false", "{former}/frames/shown.png"),
    "editors cannot change their files": (
        "private.is_given_away(text)", "<> ('accepted', 'editor')", "is not null", "{editor}/frames/shown.png"),
    "keys do what they lack the scope for": (
        "private.check_key_scope()", "not private.key_may(tg_argv)", "false", "video_sessions"),
    "keys change files without the scope": (
        "private.key_may(text[])", "and k.scopes && p_scopes", "", "{owner}/frames/own.png"),
    "revoked keys go on": (
        "private.key_may(text[])", "and k.scopes && p_scopes)", "and k.scopes && p_scopes) or true", "uploads"),
    "keys see keys": (
        "private.is_api_key()", ", false)", ", false) and false", "api_keys"),
    "everybody is a guest": (
        "private.is_guest()", ", false)", ", true)", "guests/frames/one.png"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_rule_is_noticed(world: World, mistake: str) -> None:
    function, right, wrong, name = MISTAKES[mistake]
    found = world.database.execute("select pg_get_functiondef(%s::regprocedure)", (function,)).fetchone()
    definition: str = found[0] if found else ""
    assert definition.count(right) == 1, f"{function} no longer says: {right}"
    world.database.execute(definition.replace(right, wrong))
    try:
        assert noticed(world, name)
    finally:
        world.database.execute(definition)
        world.fresh()


@contextmanager
def row_level_security_off(database: Database, tables: list[str]) -> Iterator[None]:
    try:
        for table in tables:
            database.execute(f"alter table {table} disable row level security")
        yield
    finally:
        for table in tables:
            database.execute(f"alter table {table} enable row level security")


def test_without_row_level_security_a_stranger_can_do_all_that_anybody_may(world: World) -> None:
    with row_level_security_off(world.database, TABLES):
        for name, expected in MAY.items():
            for operation, people in zip(OPERATIONS, expected, strict=True):
                assert not people or world.attempt("stranger", name, operation), f"{operation} {name}"
        assert set(world.attempt_files("stranger", "{owner}/frames/own.png")) == set(
            chain.from_iterable(FILE_OPERATIONS.values())
        )


# Ways around the rules that a signed-in person could try at the API itself.


@pytest.mark.parametrize("person", ["owner", "editor", "stranger"])
@pytest.mark.parametrize("to", ["editor", "stranger"])
def test_nobody_can_give_a_session_away_or_take_one(world: World, person: str, to: str) -> None:
    answer = world.change_session(person, {"user_id": world.names[to]})
    assert answer.status_code == 403
    query = "select user_id from public.video_sessions where session_id = %s"
    assert world.database.execute(query, (world.names["session"],)).fetchone() == (world.names["owner"],)


def test_nobody_can_set_a_status_or_call_itself_no_guest(world: World) -> None:
    for change in ({"status": "completed"}, {"is_guest": True}, {"created_at": "2000-01-01"}):
        assert world.change_session("owner", change).status_code == 403, change
    row = world.another("video_sessions", user_id=world.names["guest"])
    assert world.request("guest", "POST", "/rest/v1/video_sessions", json=row).status_code == 201
    found = world.database.execute(
        "select is_guest from public.video_sessions where session_id = %s", (row["session_id"],)
    ).fetchone()
    assert found == (True,)


def test_nobody_can_move_frames_into_the_session_of_another(world: World) -> None:
    theirs = world.another("video_sessions", user_id=world.names["stranger"])
    assert world.request("stranger", "POST", "/rest/v1/video_sessions", json=theirs).status_code == 201
    only = {"session_id": f"eq.{world.names['session']}"}
    change = {"session_id": theirs["session_id"], "image_url": f"{world.names['editor']}/frames/shown.png"}
    assert world.request("editor", "PATCH", "/rest/v1/video_frames", params=only, json=change).status_code == 403


@pytest.mark.parametrize("column", ["image_url", "thumbnail_path"])
@pytest.mark.parametrize("person", ["owner", "editor"])
def test_saving_the_address_of_a_private_file_is_no_way_to_read_it(world: World, person: str, column: str) -> None:
    secret = f"{world.names['stranger']}/frames/secret.png"
    world.put_file(secret, "stranger")
    row = world.another("video_frames", image_url=f"{world.names[person]}/frames/mine.png") | {column: secret}
    assert world.request(person, "POST", "/rest/v1/video_frames", json=row).status_code == 403
    only = {"session_id": f"eq.{world.names['session']}"}
    answer = world.request(person, "PATCH", "/rest/v1/video_frames", params=only, json={column: secret})
    assert answer.status_code == 403
    assert world.request(person, "GET", f"/storage/v1/object/videomaker/{secret}").status_code == 400


def test_a_file_of_a_session_is_readable_to_whom_the_session_is(world: World) -> None:
    shared = f"guests/frames/{uuid.uuid4().hex}.png"
    world.put_file(shared, str(uuid.uuid4()))
    path = f"/storage/v1/object/videomaker/{shared}"
    assert {world.request(person, "GET", path).status_code for person in NAMES} == {400}
    row = world.another("video_frames", image_url=shared)
    assert world.request("editor", "POST", "/rest/v1/video_frames", json=row).status_code == 201
    readers = {person for person in NAMES if world.request(person, "GET", path).status_code == 200}
    assert readers == {"owner", "editor", "viewer", *READING}
    world.fresh()


def test_pixels_cannot_be_written_into_the_database(world: World) -> None:
    row = world.another("video_frames", image_url="data:image/png;base64,AAAA")
    assert world.request("owner", "POST", "/rest/v1/video_frames", json=row).status_code in (400, 403)


def test_functions_of_the_private_schema_cannot_be_called(world: World) -> None:
    names = world.database.execute(
        "select proname from pg_proc where pronamespace = 'private'::regnamespace"
        " except select proname from pg_proc where pronamespace = 'public'::regnamespace"
    ).fetchall()
    assert ("can_read_file",) in names
    for (name,) in names:
        answer = world.request("owner", "POST", f"/rest/v1/rpc/{name}", json={})
        assert answer.status_code == 404, json.dumps(answer.json())


def test_anonymous_callers_can_call_no_function(world: World) -> None:
    functions = world.database.execute(
        "select proname, proargnames[1:pronargs], pronargdefaults from pg_proc"
        " where pronamespace = 'public'::regnamespace and prorettype <> 'trigger'::regtype"
    ).fetchall()
    assert "save_storyboard" in {name for name, _, _ in functions}
    for name, arguments, defaults in functions:
        given = dict.fromkeys((arguments or [])[: len(arguments or []) - defaults])
        answer = world.request("anon", "POST", f"/rest/v1/rpc/{name}", json=given)
        assert answer.status_code == 401, (name, answer.text)


def test_what_the_workers_call_is_nobody_elses(world: World) -> None:
    mine = {"p_id": 1, "p_attempt": 1, "p_status": "completed", "p_result": {}}
    claim = {"p_worker": "w", "p_lease_seconds": 60}
    calls: dict[str, dict[str, object]] = {
        "claim_clip": {"p_id": 1, **claim},
        "claim_merge": {"p_video_id": 1, **claim},
        "settle_clip": mine,
        "lost_renderings": {"p_still_for": "1 minute"},
    }
    for name, given in calls.items():
        answer = world.request("owner", "POST", f"/rest/v1/rpc/{name}", json=given)
        assert answer.status_code == 403, (name, answer.text)
