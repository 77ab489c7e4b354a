"""A small world of people, rows and files, in which anybody can try anything through the real API with real tokens."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import psycopg

from infra.local.keys import Keys
from infra.local.stack import Stack
from tests.storyboards import png

Database = psycopg.Connection[Any]

OPERATIONS: Final = ("select", "insert", "update", "delete")
FILE_OPERATIONS: Final = {
    "read": ("download", "info", "list", "sign", "sign_many"),
    "add": ("upload", "upsert_new", "sign_upload"),
    "copy": ("copy",),
    "change": ("upsert", "replace", "move"),
    "remove": ("remove", "remove_many"),
}


@dataclass(frozen=True)
class Person:
    """Somebody with a token: of its own subject or, as an API key would, of another one's."""

    name: str
    acts_for: str | None = None
    claims: Mapping[str, object] = field(default_factory=dict)


PEOPLE: Final = (
    Person("owner"),
    Person("editor"),
    Person("viewer"),
    Person("former"),  # was an editor
    Person("invited"),  # has not accepted
    Person("stranger"),
    Person("guest", claims={"is_anonymous": True, "app_metadata": {"provider": "guest"}}),
    *(
        Person(
            f"{scope}_key",
            acts_for="owner",
            claims={"app_metadata": {"provider": "api_key", "key": f"{scope}key".ljust(12, "0")}},
        )
        for scope in ("read", "write", "render", "revoked")
    ),
    Person("anon"),  # nobody: the project's public key alone
)


@dataclass(frozen=True)
class Row:
    """One row that belongs to the owner or its session; `{names}` stand for subjects and ids of the world."""

    table: str
    insert: str
    """The statement that puts it there."""
    key: Mapping[str, str]
    """Columns that find it."""
    another: Mapping[str, object]
    """One more such row, of columns that a client would send."""
    change: Mapping[str, object]


ROWS: Final = {
    "video_sessions": Row(
        "video_sessions",
        "insert into public.video_sessions"
        " (session_id, user_id, original_prompt, video_duration, frame_count, style, mood)"
        " values ('{session}', '{owner}', 'p', 5, 1, 's', 'm')",
        key={"session_id": "{session}"},
        another={
            "session_id": "{new}", "user_id": "{owner}", "original_prompt": "p", "video_duration": 5, "frame_count": 1,
            "style": "s", "mood": "m",
        },
        change={"mood": "changed"},
    ),
    "session_members": Row(
        "session_members",
        "insert into public.session_members (session_id, user_id, email, role, status) values"
        " ('{session}', '{editor}', 'editor@example.com', 'editor', 'accepted'),"
        " ('{session}', '{viewer}', 'viewer@example.com', 'viewer', 'accepted')",
        key={"session_id": "{session}", "user_id": "{editor}"},
        another={"session_id": "{session}", "email": "another@example.com", "role": "editor"},
        change={"role": "viewer"},
    ),
    "session_members: invitation": Row(
        "session_members",
        "insert into public.session_members (session_id, email, role, expires_at)"
        " values ('{session}', 'invited@example.com', 'viewer', now() + interval '1 day')",
        key={"session_id": "{session}", "email": "invited@example.com"},
        another={"session_id": "{session}", "user_id": "{invited}", "role": "editor", "status": "accepted"},
        change={"role": "editor"},
    ),
    "session_members: former": Row(
        "session_members",
        "insert into public.session_members (session_id, user_id, role, status, has_edited)"
        " values ('{session}', '{former}', 'editor', 'former', true)",
        key={"session_id": "{session}", "user_id": "{former}"},
        another={"session_id": "{session}", "user_id": "{stranger}", "role": "editor", "status": "former"},
        change={"status": "accepted"},
    ),
    "video_frames": Row(
        "video_frames",
        "insert into public.video_frames (session_id, frame_number, timestamp, image_url, description, prompt) values"
        " ('{session}', 1, '0s', '{owner}/frames/shown.png', 'd', 'p'),"
        " ('{session}', 2, '0s', '{editor}/frames/shown.png', 'd', 'p'),"
        " ('{session}', 3, '0s', '{former}/frames/shown.png', 'd', 'p')",
        key={"session_id": "{session}", "frame_number": "1"},
        another={
            "session_id": "{session}", "frame_number": 4, "timestamp": "0s", "description": "d", "prompt": "p",
            "image_url": "{owner}/frames/shown.png",
        },
        change={"mood": "changed"},
    ),
    "final_videos": Row(
        "final_videos",
        "insert into public.final_videos (session_id) values ('{session}')",
        key={"session_id": "{session}"},
        another={"session_id": "{session}"},
        change={"status": "canceled"},
    ),
    "video_clips": Row(
        "video_clips",
        "insert into public.video_clips (session_id, final_video_id, clip_number, frame_number, start_seconds,"
        " duration_seconds) select session_id, id, 1, 1, 0, 5 from public.final_videos where session_id = '{session}'",
        key={"session_id": "{session}"},
        another={
            "session_id": "{session}", "final_video_id": 1, "clip_number": 2, "frame_number": 2, "start_seconds": 0,
            "duration_seconds": 5,
        },
        change={"status": "canceled"},
    ),
    "idempotency_keys": Row(
        "idempotency_keys",
        "insert into public.idempotency_keys (user_id, key, request_hash) values ('{owner}', 'k', 'h')",
        key={"user_id": "{owner}", "key": "k"},
        another={"user_id": "{owner}", "key": "another", "request_hash": "h"},
        change={"request_hash": "changed"},
    ),
    "api_keys": Row(
        "api_keys",
        "insert into public.api_keys (prefix, key_hash, user_id, name, scopes)"
        " select rpad(scope || 'key', 12, '0'), repeat('0', 64), '{owner}', scope, array[scope]"
        " from unnest(array['read', 'write', 'render']) as scope",
        key={"prefix": "readkey00000"},
        another={
            "prefix": "another00000", "key_hash": "0" * 64, "user_id": "{owner}", "name": "another", "scopes": ["read"],
        },
        change={"name": "changed"},
    ),
    "uploads": Row(
        "uploads",
        "insert into public.uploads (user_id, kind, content_type, bytes) values ('{owner}', 'audio', 'audio/mpeg', 1)",
        key={"user_id": "{owner}"},
        another={"user_id": "{owner}", "kind": "audio", "content_type": "audio/mpeg", "bytes": 1},
        change={"status": "rejected"},
    ),
    "video_templates": Row(
        "video_templates",
        "insert into public.video_templates (user_id, name) values ('{owner}', 'mine')",
        key={"user_id": "{owner}", "name": "mine"},
        another={"user_id": "{owner}", "name": "another"},
        change={"description": "changed"},
    ),
    "video_templates: built in": Row(
        "video_templates",
        "select 1",
        key={"template_id": "anime"},
        another={"user_id": None, "name": "another"},
        change={"description": "changed"},
    ),
    "video_template_versions": Row(
        "video_template_versions",
        "insert into public.video_template_versions"
        " (template_id, version, name, description, video, storyboard, fields)"
        " select template_id, 7, 'old', '', '{}', '{}', '{}' from public.video_templates where user_id = '{owner}'",
        key={"name": "old"},
        another={"template_id": "anime", "version": 9, "name": "another", "description": "", "video": {},
                 "storyboard": {}, "fields": {}},
        change={"description": "changed"},
    ),
    "usage_events": Row(
        "usage_events",
        "insert into public.usage_events (user_id, kind, request_id) values ('{owner}', 'request', 'known-{session}')",
        key={"user_id": "{owner}", "request_id": "known-{session}"},
        another={"user_id": "{owner}", "kind": "batch"},
        change={"amount": 9},
    ),
    "usage_daily": Row(
        "usage_daily",
        "insert into public.usage_daily (day, user_id) values ('2026-01-01', '{owner}') on conflict do nothing",
        key={"user_id": "{owner}", "day": "2026-01-01"},
        another={"user_id": "{owner}", "day": "2026-01-02"},
        change={"requests": 9},
    ),
    "batches": Row(
        "batches",
        "insert into public.batches (user_id) values ('{owner}')",
        key={"user_id": "{owner}"},
        another={"user_id": "{owner}"},
        change={"max_cost": 1},
    ),
    "batch_items": Row(
        "batch_items",
        "insert into public.batch_items (batch_id, item_number, session_id)"
        " select batch_id, 1, '{session}' from public.batches where user_id = '{owner}'",
        key={"session_id": "{session}"},
        another={"batch_id": "{new}", "item_number": 2},
        change={"item_number": 3},
    ),
    "share_links": Row(
        "share_links",
        "insert into public.share_links (session_id, token_hash, created_by)"
        " values ('{session}', encode(sha256('{session}'), 'hex'), '{owner}')",
        key={"session_id": "{session}"},
        another={"session_id": "{session}", "token_hash": "0" * 64, "created_by": "{self}"},
        change={"revoked_at": "2000-01-01T00:00:00Z"},
    ),
    "webhook_endpoints": Row(
        "webhook_endpoints",
        "insert into public.webhook_endpoints (user_id, url) values ('{owner}', 'https://r.example/')",
        key={"user_id": "{owner}"},
        another={"user_id": "{owner}", "url": "https://another.example/"},
        change={"url": "https://changed.example/"},
    ),
    "webhook_deliveries": Row(
        "webhook_deliveries",
        "insert into public.webhook_deliveries (user_id, endpoint_id, event_id, type, payload)"
        " select user_id, endpoint_id, 'evt_1', 'ping', '{}' from public.webhook_endpoints where user_id = '{owner}'",
        key={"user_id": "{owner}", "event_id": "evt_1"},
        another={"user_id": "{owner}", "event_id": "evt_2", "type": "ping", "payload": {}},
        change={"status": "failed"},
    ),
}  # fmt: skip


class World:
    """The API, the people, and what belongs to one of them and its session."""

    def __init__(self, stack: Stack, database: Database, keys: Keys) -> None:
        self.database = database
        self._client = httpx.Client(base_url=stack.info["supabaseUrl"], timeout=30)
        self.names = {one.name: str(uuid.uuid4()) for one in PEOPLE if one.acts_for is None}
        self.names |= {one.name: self.names[one.acts_for] for one in PEOPLE if one.acts_for}
        self.tokens = {"service": keys.service_key}
        claims = {"role": "authenticated", "aud": "authenticated", "iss": f"{stack.info['supabaseUrl']}/auth/v1"}
        for person in PEOPLE:
            own = {
                "sub": self.names[person.name],
                "email": f"{person.name}@example.com",
                "exp": int(time.time()) + 3600,
            }
            self.tokens[person.name] = keys.sign({**claims, **own, **person.claims})
        self.tokens["anon"] = keys.anon_key
        self.fresh()

    def fresh(self) -> None:
        """Put every row, as it was meant to be, into a new session."""
        for row in ROWS.values():
            if "user_id" in row.another:
                self.database.execute(f"delete from public.{row.table} where user_id = %s", (self.names["owner"],))
        self.names["session"] = str(uuid.uuid4())
        for row in ROWS.values():
            self.database.execute(self._filled(row.insert))

    def request(self, person: str, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"apikey": self.tokens["anon"], "Authorization": f"Bearer {self.tokens[person]}"}
        return self._client.request(method, path, headers=headers | more.pop("headers", {}), **more)

    def another(self, name: str, **changed: object) -> dict[str, object]:
        """Return one more row of this kind."""
        self.names["new"] = str(uuid.uuid4())
        given = {**ROWS[name].another, **changed}
        return {key: self._filled(value) if isinstance(value, str) else value for key, value in given.items()}

    def attempt(self, person: str, name: str, operation: str) -> bool:
        """Return whether the person could do it, judged by what became of the rows; and make them good again."""
        row = ROWS[name]
        self.names["self"] = self.names[person]
        path = f"/rest/v1/{row.table}"
        only = {column: f"eq.{self._filled(value)}" for column, value in row.key.items()}
        if operation == "select":
            answer = self.request(person, "GET", path, params=only | {"select": next(iter(row.key))})
            return answer.status_code == 200 and len(answer.json()) == 1
        before = self._seen(name, operation)
        if operation == "insert":
            self.request(person, "POST", path, json=self.another(name))
        elif operation == "update":
            self.request(person, "PATCH", path, params=only, json=row.change)
        else:
            self.request(person, "DELETE", path, params=only)
        done = self._seen(name, operation) != before
        if done:
            self.fresh()
        return done

    def _seen(self, name: str, operation: str) -> object:
        row = ROWS[name]
        if operation == "insert":
            return self.database.execute(f"select count(*) from public.{row.table}").fetchone()
        columns = " and ".join(f"{column} = %s" for column in row.key)
        values = [self._filled(value) for value in row.key.values()]
        found = self.database.execute(
            f"select to_jsonb(t) from public.{row.table} t where {columns}", values
        ).fetchall()
        assert len(found) == 1 or operation == "delete", name
        return found

    def _filled(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def change_session(self, person: str, change: Mapping[str, object]) -> httpx.Response:
        only = {"session_id": f"eq.{self.names['session']}"}
        return self.request(person, "PATCH", "/rest/v1/video_sessions", params=only, json=change)

    # Files

    def put_file(self, path: str, owner: str) -> None:
        """Store a file as the service, then give it to its owner."""
        headers = {"content-type": "image/png", "x-upsert": "true"}
        answer = self.request("service", "POST", f"/storage/v1/object/videomaker/{path}", content=_PNG, headers=headers)
        assert answer.status_code == 200, answer.text
        self.database.execute(
            "update storage.objects set owner_id = %s where name = %s", (self.names.get(owner, owner), path)
        )

    def attempt_files(self, person: str, path: str) -> Iterator[str]:
        """Try everything with, or beside, a file of this name; return each operation that went well."""
        self.names["self"] = self.names[person]
        there = self._filled(path)
        owner = there.partition("/")[0]
        self.put_file(there, owner)
        for kind, operations in FILE_OPERATIONS.items():
            for operation in operations:
                if self.attempt_file(person, there, operation):
                    yield operation
                    if kind in ("change", "remove"):
                        self.put_file(there, owner)

    def attempt_file(self, person: str, there: str, operation: str) -> bool:
        """Return whether the person could do it."""
        new = f"{there.rpartition('/')[0]}/{uuid.uuid4().hex}.png"
        answer = self._ask_storage(person, operation, there, new)
        if answer.status_code != 200:
            return False
        if operation == "list":
            return there.rpartition("/")[2] in [one["name"] for one in answer.json()]
        if operation == "sign_many":
            return bool(answer.json()[0]["signedURL"])
        return operation != "remove_many" or bool(answer.json())

    def _ask_storage(self, person: str, operation: str, there: str, new: str) -> httpx.Response:
        def ask(method: str, path: str, **more: Any) -> httpx.Response:
            return self.request(person, method, f"/storage/v1/object{path}", **more)

        image: dict[str, Any] = {"content": _PNG, "headers": {"content-type": "image/png"}}
        upsert: dict[str, Any] = {"content": _PNG, "headers": {"content-type": "image/png", "x-upsert": "true"}}
        moved = {"bucketId": "videomaker", "sourceKey": there, "destinationKey": new}
        folder = there.rpartition("/")[0]
        calls: dict[str, Callable[[], httpx.Response]] = {
            "upload": lambda: ask("POST", f"/videomaker/{new}", **image),
            "upsert_new": lambda: ask("POST", f"/videomaker/{new}", **upsert),
            "upsert": lambda: ask("POST", f"/videomaker/{there}", **upsert),
            "replace": lambda: ask("PUT", f"/videomaker/{there}", **image),
            "download": lambda: ask("GET", f"/videomaker/{there}"),
            "info": lambda: ask("GET", f"/info/videomaker/{there}"),
            "list": lambda: ask("POST", "/list/videomaker", json={"prefix": folder, "limit": 1000}),
            "sign": lambda: ask("POST", f"/sign/videomaker/{there}", json={"expiresIn": 60}),
            "sign_many": lambda: ask("POST", "/sign/videomaker", json={"expiresIn": 60, "paths": [there]}),
            "sign_upload": lambda: ask("POST", f"/upload/sign/videomaker/{new}"),
            "move": lambda: ask("POST", "/move", json=moved),
            "copy": lambda: ask("POST", "/copy", json=moved),
            "remove": lambda: ask("DELETE", f"/videomaker/{there}"),
            "remove_many": lambda: ask("DELETE", "/videomaker", json={"prefixes": [there]}),
        }
        return calls[operation]()


_PNG: Final = png()
