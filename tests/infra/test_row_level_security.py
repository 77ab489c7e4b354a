"""Who may do what, as data: each person at each table and each operation, through the real API with real tokens.

`test_the_suite_notices_when_row_level_security_is_off` proves that these tests can fail.
"""

import json
import secrets
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import httpx
import psycopg
import pytest

from infra.local.keys import Keys
from infra.local.stack import Stack
from tests.storyboards import png

Database = psycopg.Connection[Any]
Claims = Callable[..., dict[str, object]]

PEOPLE = ("owner", "stranger", "guest", "anon")
OPERATIONS = ("select", "insert", "update", "delete")
# What the owner of the rows may do. Nobody else may do anything.
OWNER_MAY: dict[str, set[str]] = {
    "video_sessions": {"select", "insert", "update", "delete"},
    "session_members": {"select"},
    "video_frames": {"select", "insert", "update", "delete"},
    "final_videos": {"select"},
    "video_clips": {"select"},
    "idempotency_keys": {"select", "insert", "update", "delete"},
    "uploads": {"select", "insert"},
    "share_links": {"select", "insert", "update"},
    "webhook_endpoints": {"select", "insert", "update", "delete"},
    "webhook_deliveries": {"select"},
}
CHANGES: dict[str, dict[str, object]] = {
    "video_sessions": {"mood": "changed"},
    "session_members": {"role": "editor"},
    "video_frames": {"mood": "changed"},
    "final_videos": {"status": "canceled"},
    "video_clips": {"status": "canceled"},
    "idempotency_keys": {"request_hash": "changed"},
    "uploads": {"status": "rejected"},
    "share_links": {"revoked_at": "2000-01-01T00:00:00Z"},
    "webhook_endpoints": {"url": "https://changed.example/"},
    "webhook_deliveries": {"status": "failed"},
}
BY_USER = ("idempotency_keys", "uploads", "webhook_endpoints", "webhook_deliveries")


@dataclass
class World:
    """The API, four people, and the rows and files of one of them."""

    url: str
    tokens: dict[str, str]
    subjects: dict[str, str]
    database: Database
    session_id: str

    def request(self, person: str, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"apikey": self.tokens["anon"], "Authorization": f"Bearer {self.tokens[person]}"}
        headers |= more.pop("headers", {})
        return httpx.request(method, self.url + path, headers=headers, **more)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the owner's rows, as they really are."""
        column, key = ("user_id", self.subjects["owner"]) if table in BY_USER else ("session_id", self.session_id)
        query = f"select to_jsonb(t) from public.{table} t where {column} = %s"
        return [row for (row,) in self.database.execute(query, (key,)).fetchall()]

    def fresh(self) -> None:
        """Put one row of the owner's into each table."""
        owner = self.subjects["owner"]
        for table in ("video_sessions", *BY_USER):
            self.database.execute(
                f"delete from public.{table} where user_id = any(%s)", (list(self.subjects.values()),)
            )
        self.session_id = str(uuid.uuid4())
        self.database.execute(
            "insert into public.video_sessions (session_id, user_id, original_prompt, video_duration, frame_count,"
            " style, mood) values (%s, %s, 'p', 5, 1, 's', 'm')",
            (self.session_id, owner),
        )
        self.database.execute(
            "insert into public.session_members (session_id, email, role) values (%s, 'invited@example.com', 'viewer')",
            (self.session_id,),
        )
        self.database.execute(
            "insert into public.video_frames (session_id, frame_number, timestamp, image_url, description, prompt)"
            " values (%s, 1, '0s', %s, 'd', 'p')",
            (self.session_id, f"{owner}/frames/frame_1_0123456789abcdef.webp"),
        )
        self.database.execute(
            "with video as (insert into public.final_videos (session_id) values (%s) returning id)"
            " insert into public.video_clips (session_id, final_video_id, clip_number, frame_number, start_seconds,"
            " duration_seconds) select %s, id, 1, 1, 0, 5 from video",
            (self.session_id, self.session_id),
        )
        self.database.execute(
            "insert into public.idempotency_keys (user_id, key, request_hash) values (%s, 'k', 'h')", (owner,)
        )
        self.database.execute(
            "insert into public.uploads (user_id, kind, content_type, bytes) values (%s, 'audio', 'audio/mpeg', 1)",
            (owner,),
        )
        self.database.execute(
            "insert into public.share_links (session_id, token_hash, created_by) values (%s, %s, %s)",
            (self.session_id, secrets.token_hex(32), owner),
        )
        self.database.execute(
            "with endpoint as (insert into public.webhook_endpoints (user_id, url) values (%s, 'https://r.example/')"
            " returning endpoint_id) insert into public.webhook_deliveries (user_id, endpoint_id, event_id, type,"
            " payload) select %s, endpoint_id, 'evt_1', 'ping', '{}' from endpoint",
            (owner, owner),
        )


@pytest.fixture
def world(stack: Stack, database: Database, keys: Keys, claims: Claims) -> World:
    subjects = {person: str(uuid.uuid4()) for person in PEOPLE if person != "anon"}
    guest = {"is_anonymous": True, "app_metadata": {"provider": "guest"}}
    tokens = {
        person: keys.sign(claims(sub=subject, **(guest if person == "guest" else {})))
        for person, subject in subjects.items()
    }
    found = World(
        url=stack.info["supabaseUrl"],
        tokens={**tokens, "anon": keys.anon_key},
        subjects=subjects,
        database=database,
        session_id="",
    )
    found.fresh()
    return found


def attempt(world: World, person: str, table: str, operation: str) -> bool:
    """Return whether the person could do it to the owner's rows, judged by what became of them."""
    path, before = f"/rest/v1/{table}", world.rows(table)
    assert len(before) == 1
    column = "session_id" if "session_id" in before[0] else "user_id"
    only = {column: f"eq.{before[0][column]}"}
    if operation == "select":
        answer = world.request(person, "GET", path, params=only | {"select": column})
        return answer.status_code == 200 and len(answer.json()) == 1
    if operation == "insert":
        world.request(person, "POST", path, json=another(world, table, before[0]))
        owned = "user_id" if table in ("video_sessions", *BY_USER) else "session_id"
        count = world.database.execute(
            f"select count(*) from public.{table} where {owned} = %s", (before[0][owned],)
        ).fetchone()
        assert count
        return int(count[0]) == 2
    if operation == "update":
        world.request(person, "PATCH", path, params=only, json=CHANGES[table])
        return world.rows(table) != before
    world.request(person, "DELETE", path, params=only)
    return world.rows(table) == []


def another(world: World, table: str, row: dict[str, Any]) -> dict[str, object]:
    """Return one more row of the owner's, of columns that a client would send."""
    rows: dict[str, dict[str, object]] = {
        "video_sessions": {"session_id": str(uuid.uuid4()), "user_id": world.subjects["owner"], "original_prompt": "p",
                           "video_duration": 5, "frame_count": 1, "style": "s", "mood": "m"},
        "session_members": {"session_id": world.session_id, "email": "another@example.com", "role": "editor"},
        "video_frames": {"session_id": world.session_id, "frame_number": 2, "timestamp": "0s", "description": "d",
                         "image_url": row.get("image_url"), "prompt": "p"},
        "final_videos": {"session_id": world.session_id},
        "video_clips": {"session_id": world.session_id, "final_video_id": row.get("final_video_id"), "clip_number": 2,
                        "frame_number": 2, "start_seconds": 0, "duration_seconds": 5},
        "idempotency_keys": {"user_id": world.subjects["owner"], "key": "another", "request_hash": "h"},
        "uploads": {"user_id": world.subjects["owner"], "kind": "audio", "content_type": "audio/mpeg", "bytes": 1},
        "share_links": {"session_id": world.session_id, "token_hash": secrets.token_hex(32),
                        "created_by": world.subjects["owner"]},
        "webhook_endpoints": {"user_id": world.subjects["owner"], "url": "https://another.example/"},
        "webhook_deliveries": {"user_id": world.subjects["owner"], "endpoint_id": row.get("endpoint_id"),
                               "event_id": "evt_2", "type": "ping", "payload": {}},
    }  # fmt: skip
    return rows[table]


@pytest.mark.parametrize(("person", "table", "operation"), list(product(PEOPLE, OWNER_MAY, OPERATIONS)))
def test_a_row_is_its_owners(world: World, person: str, table: str, operation: str) -> None:
    assert attempt(world, person, table, operation) == (person == "owner" and operation in OWNER_MAY[table])


# Files: what each person may do in the owner's folder, in its own, and in the one of guests without an id.
FILE_OPERATIONS = ("upload", "upsert_new", "upsert", "replace", "download", "info", "list", "sign", "sign_many",
                   "sign_upload", "move", "copy", "remove", "remove_many")  # fmt: skip
FOLDERS = ("owners", "own", "guests")


def may_in_folder(person: str, folder: str, operation: str) -> bool:
    if person == "anon":
        return False
    if folder == "own" or (folder == "owners" and person == "owner"):
        return True
    # A guest may add a file under a new name among the guests'; the file there is another one's.
    return folder == "guests" and person == "guest" and operation in ("upload", "upsert_new", "sign_upload")


def attempt_file(world: World, person: str, folder: str, operation: str) -> bool:
    """Return whether the person could do it to, or beside, a file that lies in the folder."""
    names = {"owners": world.subjects["owner"], "own": world.subjects.get(person, "anon"), "guests": "guests"}
    there, new = (f"{names[folder]}/frames/{uuid.uuid4().hex}.png" for _ in range(2))
    put_file(world, there, owner=names[folder] if folder != "guests" else str(uuid.uuid4()))
    answer = ask_storage(world, person, operation, there, new)
    if answer.status_code != 200:
        return False
    if operation in ("list", "remove_many"):
        return bool(answer.json())
    if operation == "sign_many":
        return bool(answer.json()[0]["signedURL"])
    return True


def put_file(world: World, name: str, owner: str) -> None:
    """Store a file as the service, then give it to its owner."""
    service = {"Authorization": f"Bearer {world.tokens['service']}", "content-type": "image/png"}
    answer = httpx.post(f"{world.url}/storage/v1/object/videomaker/{name}", content=png(), headers=service)
    assert answer.status_code == 200, answer.text
    world.database.execute("update storage.objects set owner_id = %s where name = %s", (owner, name))


def ask_storage(world: World, person: str, operation: str, there: str, new: str) -> httpx.Response:
    def ask(method: str, path: str, **more: Any) -> httpx.Response:
        return world.request(person, method, f"/storage/v1/object{path}", **more)

    image: dict[str, Any] = {"content": png(), "headers": {"content-type": "image/png"}}
    upsert: dict[str, Any] = {"content": png(), "headers": {"content-type": "image/png", "x-upsert": "true"}}
    moved = {"bucketId": "videomaker", "sourceKey": there, "destinationKey": new}
    calls: dict[str, Callable[[], httpx.Response]] = {
        "upload": lambda: ask("POST", f"/videomaker/{new}", **image),
        "upsert_new": lambda: ask("POST", f"/videomaker/{new}", **upsert),
        "upsert": lambda: ask("POST", f"/videomaker/{there}", **upsert),
        "replace": lambda: ask("PUT", f"/videomaker/{there}", **image),
        "download": lambda: ask("GET", f"/videomaker/{there}"),
        "info": lambda: ask("GET", f"/info/videomaker/{there}"),
        "list": lambda: ask("POST", "/list/videomaker", json={"prefix": there.rpartition("/")[0], "limit": 100}),
        "sign": lambda: ask("POST", f"/sign/videomaker/{there}", json={"expiresIn": 60}),
        "sign_many": lambda: ask("POST", "/sign/videomaker", json={"expiresIn": 60, "paths": [there]}),
        "sign_upload": lambda: ask("POST", f"/upload/sign/videomaker/{new}"),
        "move": lambda: ask("POST", "/move", json=moved),
        "copy": lambda: ask("POST", "/copy", json=moved),
        "remove": lambda: ask("DELETE", f"/videomaker/{there}"),
        "remove_many": lambda: ask("DELETE", "/videomaker", json={"prefixes": [there]}),
    }
    return calls[operation]()


@pytest.fixture
def files(world: World, keys: Keys, database: Database) -> Iterator[World]:
    """The same world with a private media bucket: files of a public one can be read by anybody who has the URL."""
    world.tokens["service"] = keys.service_key
    database.execute("update storage.buckets set public = false where id = 'videomaker'")
    yield world
    database.execute("update storage.buckets set public = true where id = 'videomaker'")


@pytest.mark.parametrize(("person", "folder", "operation"), list(product(PEOPLE, FOLDERS, FILE_OPERATIONS)))
def test_a_file_is_its_owners(files: World, person: str, folder: str, operation: str) -> None:
    assert attempt_file(files, person, folder, operation) == may_in_folder(person, folder, operation)


@pytest.fixture
def row_level_security_off(database: Database) -> Iterator[None]:
    tables = [f"public.{table}" for table in OWNER_MAY] + ["storage.objects"]
    try:
        for table in tables:
            database.execute(f"alter table {table} disable row level security")
        yield
    finally:
        for table in tables:
            database.execute(f"alter table {table} enable row level security")


@pytest.mark.usefixtures("row_level_security_off")
def test_the_suite_notices_when_row_level_security_is_off(files: World) -> None:
    for table in OWNER_MAY:
        files.fresh()
        assert attempt(files, "stranger", table, "select"), f"nothing would have failed for {table}"
        assert attempt(files, "guest", table, "select")
    for operation in ("insert", "update", "delete"):
        for table in ("video_sessions", "video_frames", "idempotency_keys"):
            files.fresh()
            assert attempt(files, "stranger", table, operation), f"nothing would have failed for {operation} on {table}"
    for operation in FILE_OPERATIONS:
        assert attempt_file(files, "stranger", "owners", operation), f"nothing would have failed for {operation}"


# Ways around the rules that a signed-in person could try at the API itself.


def test_nobody_can_give_a_session_away_or_take_one(world: World) -> None:
    for person, subject in (("owner", world.subjects["stranger"]), ("stranger", world.subjects["stranger"])):
        world.request(person, "PATCH", "/rest/v1/video_sessions", params={"session_id": f"eq.{world.session_id}"},
                      json={"user_id": subject})  # fmt: skip
    assert world.rows("video_sessions")[0]["user_id"] == world.subjects["owner"]


def test_nobody_can_set_a_status_or_call_itself_no_guest(world: World) -> None:
    only = {"session_id": f"eq.{world.session_id}"}
    for change in ({"status": "completed"}, {"is_guest": True}, {"created_at": "2000-01-01"}):
        answer = world.request("owner", "PATCH", "/rest/v1/video_sessions", params=only, json=change)
        assert answer.status_code == 403, change
    row = another(world, "video_sessions", {}) | {"user_id": world.subjects["guest"]}
    assert world.request("guest", "POST", "/rest/v1/video_sessions", json=row).status_code == 201
    found = world.database.execute(
        "select is_guest from public.video_sessions where session_id = %s", (row["session_id"],)
    ).fetchone()
    assert found == (True,)


@pytest.mark.parametrize("column", ["image_url", "thumbnail_path"])
def test_saving_the_address_of_a_private_file_is_no_way_to_read_it(files: World, column: str) -> None:
    secret = f"{files.subjects['stranger']}/frames/secret.png"
    put_file(files, secret, owner=files.subjects["stranger"])
    mine = f"{files.subjects['owner']}/frames/mine.png"
    row = another(files, "video_frames", {"image_url": mine}) | {column: secret}
    assert files.request("owner", "POST", "/rest/v1/video_frames", json=row).status_code == 403
    only = {"session_id": f"eq.{files.session_id}"}
    assert (
        files.request("owner", "PATCH", "/rest/v1/video_frames", params=only, json={column: secret}).status_code == 403
    )
    assert files.request("owner", "GET", f"/storage/v1/object/videomaker/{secret}").status_code == 400


def test_a_file_of_a_session_that_the_caller_can_read_is_readable(files: World) -> None:
    shared = f"guests/frames/{uuid.uuid4().hex}.png"
    put_file(files, shared, owner=str(uuid.uuid4()))
    path = f"/storage/v1/object/videomaker/{shared}"
    assert files.request("owner", "GET", path).status_code == 400
    row = another(files, "video_frames", {"image_url": shared})
    assert files.request("owner", "POST", "/rest/v1/video_frames", json=row).status_code == 201
    assert files.request("owner", "GET", path).status_code == 200
    assert files.request("stranger", "GET", path).status_code == 400


def test_pixels_cannot_be_written_into_the_database(world: World) -> None:
    row = another(world, "video_frames", {"image_url": "data:image/png;base64,AAAA"})
    assert world.request("owner", "POST", "/rest/v1/video_frames", json=row).status_code in (400, 403)


def test_functions_of_the_private_schema_cannot_be_called(world: World) -> None:
    for name in ("can_read_file", "image_facts", "may_use_image", "session_is_taken", "recall_answer"):
        answer = world.request("owner", "POST", f"/rest/v1/rpc/{name}", json={})
        assert answer.status_code == 404, json.dumps(answer.json())


ARGUMENTS: dict[str, dict[str, object]] = {
    "save_storyboard": {"p_session": {}, "p_frames": []},
    "check_storyboard": {"p_session_id": "x", "p_if_version": None, "p_image_paths": []},
    "create_share": {"p_share": {}, "p_nonce": "x"},
    "list_shares": {"p_session_id": "x", "p_before": None, "p_limit": 1},
    "revoke_share": {"p_share_id": "00000000-0000-0000-0000-000000000000"},
    "open_share": {"p_viewer": "x", "p_address": "x", "p_password_hash": None},
    "forget_share_visits": {},
}


def test_anonymous_callers_can_call_nothing(world: World) -> None:
    for name, arguments in ARGUMENTS.items():
        answer = world.request("anon", "POST", f"/rest/v1/rpc/{name}", json=arguments)
        assert answer.status_code == 401
