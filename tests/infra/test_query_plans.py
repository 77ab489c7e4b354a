"""Queries go by index, and ask once a statement whose sessions are whose, where anything else would be felt."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable

import pytest

from infra.local.stack import Stack
from shared.settings import settings
from tests.infra.access import Database
from tests.infra.large_database import NAMES, scans, work
from tests.people import User

SETS = {"owned_sessions", "shared_sessions", "readable_sessions", "editable_sessions"}

# Of the statements that apps send to PostgREST and that Storage runs for them, as the person with number 0.
STATEMENTS = {
    "the newest sessions": "select * from public.video_sessions order by created_at desc, id desc limit 20",
    "a session of its own": "select * from public.video_sessions where session_id = %(own)s",
    "a session that is shared": "select * from public.video_sessions where session_id = %(shared)s",
    "a session of others": "select * from public.video_sessions where session_id = %(theirs)s",
    "frames": "select * from public.video_frames where session_id = %(shared)s order by frame_number",
    "a change of frames": "update public.video_frames set mood = 'x' where session_id = %(shared)s",
    "frames to be removed": "delete from public.video_frames where session_id = %(shared)s and frame_number > 3",
    "a change of a session": "update public.video_sessions set mood = 'x' where session_id = %(shared)s",
    "videos": "select * from public.final_videos where session_id = %(shared)s order by created_at desc limit 3",
    "clips": "select * from public.video_clips where session_id = %(shared)s",
    "members": "select * from public.session_members where session_id = %(own)s",
    "invitations": "select * from public.session_members where email = 'u0@example.com' and status = 'invited'",
    "a file": "select name from storage.objects where bucket_id = 'videomaker' and name = %(shared_image)s",
    "a video's file": "select name from storage.objects where bucket_id = 'videomaker' and name = %(shared_video)s",
    "files to be signed":
        "select name from storage.objects where bucket_id = 'videomaker' and name in (%(own_image)s, %(shared_image)s)",
    "a list of files":
        "select name from storage.objects where bucket_id = 'videomaker' and starts_with(name, %(folder)s)",
}  # fmt: skip
# Of the functions that ours call; `frames` is a storyboard that the session has in another order.
CALLS = {
    "save_storyboard": "select public.save_storyboard(%(session)s, %(frames)s)",
    "check_storyboard": "select public.check_storyboard(%(shared)s, null, %(images)s)",
    "list_members": "select public.list_members(%(own)s)",
    "list_invitations": "select public.list_invitations(null, 100)",
    "invite_member": "select public.invite_member(%(own)s, 'new@example.com', 'viewer')",
    "leave_session": "select public.leave_session(%(shared)s)",
    "list_history": "select public.list_history('all', '{}', 20)",
    "history_stamp": "select public.history_stamp('all', '{}', 20)",
    "read_frames": "select public.read_frames(%(shared)s, 0, 1000)",
    "frames_stamp": "select s.frames_stamp from public.video_sessions s where session_id = %(shared)s",
    "can_read_file": "select private.can_read_file(%(shared_video)s)",
    "is_given_away": "select private.is_given_away(%(own_image)s)",
}


def asked(done: Counter[str], functions: set[str] = SETS) -> dict[str, int]:
    """Return how often each of these was called; those of the policies tell which sessions are the person's."""
    return {function: done[function] for function in functions if done[function]}


def reordered(connection: Database, session: str) -> dict[str, object]:
    """Return what a save of this session's frames in another order is given, and the session in the others' place."""
    rows = connection.execute(
        "select image_url, image_path from public.video_frames where session_id = %s", (NAMES[session],)
    ).fetchall()
    words = {"timestamp": "0s", "description": "d", "prompt": "p"}
    frames = [
        {"frame_number": n, "image_url": url, "image_path": path, **words}
        for n, (url, path) in enumerate(rows[::-1], 1)
    ]
    row = {"session_id": NAMES[session], "video_duration": 60, "frame_count": len(rows), "style": "s", "mood": "m"}
    return NAMES | {
        "shared": NAMES[session],
        "session": json.dumps(row | {"original_prompt": "another"}),
        "frames": json.dumps(frames),
        "images": [path for _, path in rows],
    }


@pytest.mark.parametrize("name", STATEMENTS | CALLS)
def test_no_table_is_read_from_end_to_end_and_no_set_asked_for_row_by_row(person: Database, name: str) -> None:
    assert_works_well(person, name)


READ = ("the newest sessions", "a session that is shared", "frames", "videos", "clips", "members")


@pytest.mark.parametrize("name", READ)
def test_a_set_is_computed_before_the_rows_or_hashed(person: Database, name: str) -> None:
    assert_planned_well(plan(person, STATEMENTS[name]))


# Policies that say the same in a way that costs more, and a statement that they are felt by.
SLOW = {
    "a function called for each row": (
        '"Members can read the frames of their sessions" on public.video_frames',
        "private.role_in(session_id) is not null", "frames"),
    "a query for each row": (
        '"Members can read the frames of their sessions" on public.video_frames',
        "exists (select from public.video_sessions s where s.session_id = video_frames.session_id)", "frames"),
    "a hashed set where a list has no other filter": (
        '"Members can read their sessions" on public.video_sessions',
        "user_id = (select auth.uid())::text or session_id in (select private.shared_sessions())",
        "the newest sessions"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", SLOW)
def test_a_policy_that_costs_more_is_noticed(person: Database, mistake: str) -> None:
    policy, expression, name = SLOW[mistake]
    person.execute("reset role")
    person.execute(f"alter policy {policy} using ({expression})")
    person.execute("set local role authenticated")
    with pytest.raises(AssertionError):
        assert_works_well(person, name)
        assert_planned_well(plan(person, STATEMENTS[name]))


def test_get_frames_reads_a_session_by_index_and_asks_once_for_each_of_its_parts(
    person: Database, alice: User, stack: Stack, database: Database, function_environment: pytest.MonkeyPatch
) -> None:
    function_environment.setenv("RATE_LIMITS", "off")  # else it goes as a call of read_frames, which hides its plan
    settings.cache_clear()
    statement = sent_by(lambda: alice.read("plans"), stack, database)
    for session, frames in (("own", 5), ("shared", 5), ("long", 60), ("theirs", 0)):
        chosen = statement.replace("'plans'", f"'{NAMES[session]}'")
        found = plan(person, chosen)
        assert_planned_well(found)
        assert "Index Scan using video_sessions_session_id_key" in found
        row = person.execute(chosen).fetchone()
        assert row is not None
        assert len(row[2][0]["frames"] if row[2] else []) == frames
        done = work(person, chosen, {})
        assert scans(done) == set()
        assert max(asked(done).values(), default=0) <= 2  # frames, and the last of them


def assert_works_well(person: Database, name: str) -> None:
    statement = (STATEMENTS | CALLS)[name]
    short, long = (work(person, statement, reordered(person, session)) for session in ("shared", "long"))
    assert scans(short) == scans(long) == set()
    # What writes looks at each image and calls triggers besides.
    all_of_them = {one for one in short | long if not one.endswith(" scans")}
    functions = all_of_them if name in STATEMENTS and statement.startswith("select") else SETS
    assert asked(short, functions) == asked(long, functions)
    # Of an update the policies for reading and for writing ask, of the rows before and after it.
    assert name in CALLS or max(asked(short).values(), default=0) <= 4


def plan(connection: Database, statement: str) -> str:
    rows = connection.execute(f"explain (analyze, costs off, timing off) {statement}", NAMES, prepare=False).fetchall()
    return "\n".join(line for (line,) in rows)


def assert_planned_well(found: str) -> None:
    assert "Seq Scan" not in found, found
    assert not re.search(r"(?<!hashed )SubPlan \d+\)", found), found
    assert not re.search(r"ProjectSet \(.*loops=(?!1\))", found), found


def sent_by(call: Callable[[], object], stack: Stack, database: Database) -> str:
    """Return the one query that a call makes PostgREST send, with its parameters in it."""
    log = stack.folder / "logs" / "postgres.log"
    before = log.stat().st_size
    database.execute("alter system set log_min_duration_statement = 0")
    database.execute("select pg_reload_conf()")
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            call()
            written = log.read_bytes()[before:].decode()
            query = r"execute [^:]+: (WITH pgrst_source .*video_frames.*)\n.*DETAIL: +parameters: (.*)"
            found = re.search(query, written)
            if found:
                statement, parameters = found.groups()
                for number, value in reversed(re.findall(r"\$(\d+) = ('(?:[^']|'')*'|NULL)", parameters)):
                    statement = statement.replace(f"${number}", value)
                return str(statement)
        raise AssertionError("PostgreSQL has logged no query")
    finally:
        database.execute("alter system reset log_min_duration_statement")
        database.execute("select pg_reload_conf()")
