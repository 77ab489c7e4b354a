"""Which API key may do what: every verb of every function, with every scope, and with a key that was revoked."""

import base64
import importlib
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shared.errors import AppError
from shared.identity import Credentials
from shared.settings import settings
from tests.client import Answer, Client, JsonObject
from tests.people import User
from tests.programs import SCOPES, prefix_of, program, revoke
from tests.storyboards import frame, png, storyboard, with_frames

FUNCTIONS = Path(__file__).parents[2] / "functions"
COMBINATIONS = [("read",), ("write",), ("render",), ("read", "write"), ("write", "render"), ("read", "render"), SCOPES]
# Called by somebody else than callers: by browsers with a link, by Supabase; and what no key may do.
NOT_FOR_KEYS = {"watch", "storage_webhook", "api_keys"}

DATA_URL = "data:image/png;base64," + base64.b64encode(png()).decode()
FILE = {"frameId": 1, "contentType": "image/png", "bytes": 10}


@dataclass(frozen=True)
class Endpoint:
    """One verb of one function: the scope that it needs, and a request, in which `{names}` stand for what is stored.

    `status` is what the answer is to a key that may; some requests name what is not there, so that they change nothing.
    """

    function: str
    method: str
    scope: str
    status: int = 200
    query: JsonObject = field(default_factory=dict)
    body: JsonObject | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.function} {'&'.join(self.query)}".strip()

    def call(self, client: Client, stored: JsonObject) -> Answer:
        body = _filled(self.body, stored)
        if self.body == {"storyboard": True}:
            body = stored["storyboard"]
        return client.send(self.method, self.function, body, **_filled(self.query, stored))


def _filled(value: Any, stored: JsonObject) -> Any:
    if isinstance(value, dict):
        return {name: _filled(one, stored) for name, one in value.items()}
    return value.format(**stored) if isinstance(value, str) and value.startswith("{") else value


ABSENT = str(uuid.UUID(int=5))
ENDPOINTS = [
    Endpoint("upload_image", "POST", "write", body={"imageData": DATA_URL, "frameId": 1}),
    Endpoint("save_frames", "POST", "write", body={"storyboard": True}),
    Endpoint("save_frames", "POST", "write", body=with_frames([frame(1, DATA_URL)]) | {"sessionId": None}),
    Endpoint("get_frames", "GET", "read", query={"sessionId": "{session}"}),
    Endpoint("create_upload", "POST", "write", body={"files": [FILE]}),
    Endpoint("create_upload", "GET", "read", query={"uploadId": "{upload}"}),
    Endpoint("generate_video", "POST", "render", 404, body={"sessionId": "absent", "dryRun": True}),
    Endpoint("get_video", "GET", "read", 404, query={"videoId": ABSENT}),
    Endpoint("get_video", "DELETE", "render", 404, query={"videoId": ABSENT}),
    Endpoint(
        "save_clips",
        "POST",
        "write",
        404,
        body={"sessionId": "absent", "clips": [{"frameNumber": 1, "uploadId": ABSENT}]},
    ),
    Endpoint("batch", "POST", "render", body={"items": [{"sessionId": "absent"}], "dryRun": True}),
    Endpoint("batch", "GET", "read"),
    Endpoint("batch", "DELETE", "render", 404, query={"batchId": ABSENT}),
    Endpoint("analytics", "GET", "read"),
    Endpoint("history", "GET", "read"),
    Endpoint("history", "GET", "read", query={"export": "{session}"}),
    Endpoint("history", "DELETE", "write", 404, query={"sessionId": "absent"}),
    Endpoint("templates", "GET", "read"),
    Endpoint("templates", "POST", "write", 201, body={"name": "Mine"}),
    Endpoint("templates", "PUT", "write", 404, query={"templateId": ABSENT}, body={"name": "Mine"}),
    Endpoint("templates", "DELETE", "write", 404, query={"templateId": ABSENT}),
    Endpoint("share", "GET", "read", query={"sessionId": "{session}"}),
    Endpoint("share", "POST", "write", body={"sessionId": "{session}"}),
    Endpoint("share", "DELETE", "write", 404, query={"shareId": ABSENT}),
    Endpoint("members", "GET", "read", query={"sessionId": "{session}"}),
    Endpoint("members", "POST", "write", body={"sessionId": "{session}", "email": "a@example.com", "role": "viewer"}),
    Endpoint("members", "PATCH", "write", 404, body={"memberId": ABSENT, "role": "viewer"}),
    Endpoint("members", "DELETE", "write", 404, query={"memberId": ABSENT}),
    Endpoint("webhooks", "GET", "read"),
    Endpoint("webhooks", "POST", "write", 404, body={"action": "ping", "endpointId": ABSENT}),
    Endpoint("webhooks", "DELETE", "write", 404, query={"endpointId": ABSENT}),
]


def test_every_verb_that_callers_have_is_tried_here() -> None:
    verbs = set()
    for path in FUNCTIONS.glob("*/handler.py"):
        name = path.parent.name
        app = getattr(importlib.import_module(f"functions.{name}.handler"), "app", None)
        if app and name not in NOT_FOR_KEYS:
            verbs |= {
                (name, verb)
                for route in app.routes
                for verb in getattr(route, "methods", ())
                if getattr(route, "path", "") == "/" and getattr(route, "include_in_schema", True)
            }
    assert {(one.function, one.method) for one in ENDPOINTS} == {(name, verb) for name, verb in verbs if verb != "HEAD"}


@pytest.fixture
def stored(alice: User) -> JsonObject:
    """A saved storyboard, and an upload."""
    given = storyboard(alice.subject)
    alice.save(given)
    upload = alice.post("create_upload", {"files": [FILE]}).json["uploads"][0]
    return {"storyboard": given, "session": given["sessionId"], "upload": upload["uploadId"]}


@pytest.mark.parametrize("scopes", COMBINATIONS, ids="+".join)
def test_each_scope_opens_its_endpoints_and_no_other(alice: User, stored: JsonObject, scopes: tuple[str]) -> None:
    key = program(alice, *scopes)
    for endpoint in ENDPOINTS:
        answer = endpoint.call(key, stored)
        if endpoint.scope in scopes:
            assert answer.status == endpoint.status, (str(endpoint), answer.body)
            assert answer.headers["ratelimit"]
        else:
            assert (answer.status, answer.code) == (403, "insufficient_scope"), str(endpoint)
            assert answer.json["scope"] == endpoint.scope


def test_a_key_uploads_saves_and_reads_as_its_owner(alice: User) -> None:
    key = program(alice)
    uploaded = key.upload(png()).json
    assert uploaded["userId"] == alice.subject
    assert f"/{alice.subject}/frames/" in uploaded["imageUrl"]
    saved = key.save(with_frames([frame(1, uploaded["imageUrl"]), frame(2, DATA_URL)])).json
    assert key.read(saved["sessionId"], userId=alice.subject).json == alice.read(saved["sessionId"]).json


def test_a_key_sees_nothing_that_its_owner_does_not(alice: User, bob: User) -> None:
    given = storyboard(bob.subject)
    bob.save(given)
    key = program(alice)
    assert key.read(given["sessionId"]).code == "session_not_found"
    assert key.save(given).code == "foreign_image_url" or key.save(given).status == 404
    assert key.read(given["sessionId"], userId=bob.subject).code == "user_mismatch"
    assert key.upload(png(), user_id=bob.subject).code == "user_mismatch"


def test_no_key_can_delete_the_account_that_it_acts_for(alice: User, stored: JsonObject) -> None:
    answer = program(alice).delete("history", scope="account")
    assert (answer.status, answer.code) == (403, "insufficient_scope")
    assert alice.read(stored["session"]).status == 200


@pytest.fixture(params=["in postgres", "in redis", "not"])
def requests_are_counted(request: pytest.FixtureRequest, function_environment: pytest.MonkeyPatch) -> None:
    """Run the test with each way of limiting rates, which must make no difference to what a key may do."""
    if request.param == "in redis":
        request.getfixturevalue("counted_in_redis")
    elif request.param == "not":
        function_environment.setenv("RATE_LIMITS", "off")
        settings.cache_clear()


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.usefixtures("requests_are_counted")
def test_a_revoked_key_ends_at_once(alice: User, stored: JsonObject, *, is_known: bool) -> None:
    for endpoint in ENDPOINTS:
        key = program(alice)
        if is_known:
            assert endpoint.call(key, stored).status == endpoint.status
        assert revoke(alice, prefix_of(key.key)).json == {"success": True, "prefix": prefix_of(key.key)}
        answer = endpoint.call(key, stored)
        assert (answer.status, answer.code) == (401, "invalid_api_key"), str(endpoint)
        assert revoke(alice, prefix_of(key.key)).code == "api_key_not_found"


def test_what_needs_rendering_needs_the_scope_to_render(alice: User) -> None:
    for scopes in COMBINATIONS:
        credentials = Credentials(None, program(alice, *scopes).key)
        if "render" in scopes:
            assert credentials.caller(None, needs="render").subject == alice.subject
        else:
            with pytest.raises(AppError, match="insufficient_scope"):
                credentials.caller(None, needs="render")
