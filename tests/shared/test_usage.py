"""What is told of each request, by whom, and that telling never hurts."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest

from infra.local.keys import Keys
from infra.local.stack import Stack
from shared import supabase_access, usage
from shared.errors import AppError
from shared.settings import settings
from tests.client import Client
from tests.people import Claims, User
from tests.storyboards import frame, png, with_frames

Database = psycopg.Connection[Any]


@pytest.fixture(autouse=True)
def telling(function_environment: pytest.MonkeyPatch) -> Iterator[None]:
    function_environment.setenv("USAGE_EVENTS", "on")
    settings.cache_clear()
    yield
    usage.settle()


def told(database: Database, request_id: str) -> dict[str, Any]:
    usage.settle()
    rows = database.execute(
        "select to_jsonb(e) from public.usage_events e where request_id = %s and kind = 'request'", (request_id,)
    ).fetchall()
    assert len(rows) == 1
    found: dict[str, Any] = rows[0][0]
    return found


def test_a_request_is_told_with_what_it_took(alice: User, database: Database) -> None:
    answer = alice.upload(png())
    event = told(database, answer.headers["x-request-id"])
    assert (event["user_id"], event["function"], event["status"], event["code"]) == (
        alice.subject,
        "upload_image",
        200,
        None,
    )
    assert event["total_ms"] > event["image_ms"] > 0 and event["storage_ms"] > 0
    assert (event["amount"], event["bytes_in"], event["bytes_stored"]) == (1, len(png()), answer.json["bytes"])
    assert event["memory_mb"] == 1024


def test_facts_carry_the_id_of_their_request(alice: User, database: Database) -> None:
    url = alice.upload(png()).json["imageUrl"]
    saved = alice.save(with_frames([frame(1, url)]), X_Request_Id="request-of-the-save")
    rows = database.execute(
        "select kind, amount, request_id, user_id from public.usage_events where session_id = %s",
        (saved.json["sessionId"],),
    ).fetchall()
    assert rows == [("frames", 1, "request-of-the-save", alice.subject)]


def test_a_refused_body_counts_as_the_callers(alice: User, database: Database) -> None:
    answer = alice.save({"frames": []})
    event = told(database, answer.headers["x-request-id"])
    assert (event["user_id"], event["status"], event["code"]) == (alice.subject, 422, "validation_failed")


@pytest.mark.parametrize("token", ["not.a.token", None])
def test_what_nobody_is_known_for_is_nobodys(token: str | None, database: Database) -> None:
    answer = Client(token).get("get_frames", sessionId="x" * 300)
    assert answer.status >= 400
    assert told(database, answer.headers["x-request-id"])["user_id"] is None


def test_a_guest_is_told_under_its_subject(guest: Client, database: Database) -> None:
    answer = guest.get("get_frames", sessionId=str(uuid.uuid4()), userId="guest_" + "a" * 32)
    event = told(database, answer.headers["x-request-id"])
    assert event["code"] == "session_not_found"
    assert uuid.UUID(event["user_id"])


def test_it_can_be_turned_off(alice: User, database: Database, function_environment: pytest.MonkeyPatch) -> None:
    function_environment.setenv("USAGE_EVENTS", "off")
    settings.cache_clear()
    answer = alice.get("get_frames", sessionId=str(uuid.uuid4()))
    usage.settle()
    found = database.execute(
        "select from public.usage_events where request_id = %s", (answer.headers["x-request-id"],)
    ).fetchall()
    assert found == []


def test_a_database_that_does_not_take_it_changes_no_answer(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise AppError("database_unavailable")

    monkeypatch.setattr(supabase_access, "tell", failing)
    assert alice.upload(png()).status == 200


def test_a_database_that_hangs_is_not_waited_for(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    released = []

    def hanging(*_: object) -> None:
        time.sleep(0.5)
        released.append(True)

    monkeypatch.setattr(supabase_access, "tell", hanging)
    assert alice.get("get_frames", sessionId=str(uuid.uuid4())).status == 404
    assert not released


@pytest.fixture
def record(stack: Stack, keys: Keys) -> Callable[..., httpx.Response]:
    def send(token: str, **event: object) -> httpx.Response:
        headers = {"apikey": keys.anon_key, "Authorization": f"Bearer {token}"}
        known = {"request_id": "made-up-request", "function": "get_frames", "status": 200, "total_ms": 1}
        url = f"{stack.info['supabaseUrl']}/rest/v1/rpc/record_usage"
        return httpx.post(url, headers=headers, json={"p_event": known | event})

    return send


def test_a_caller_writes_into_its_own_figures_only(
    alice: User, bob: User, record: Callable[..., httpx.Response], database: Database
) -> None:
    name = f"forged-{uuid.uuid4()}"
    more = {"user_id": bob.subject, "cost": 1000, "kind": "video", "created_at": "2020-01-01"}
    assert record(alice.token or "", request_id=name, **more).status_code == 204
    event = told(database, name)
    assert (event["user_id"], event["kind"], event["cost"]) == (alice.subject, "request", 0)
    assert event["created_at"] > "2026"


@pytest.mark.parametrize(
    "wrong",
    [
        {"total_ms": -1}, {"total_ms": 1e12}, {"status": 7}, {"function": "x" * 65}, {"function": None},
        {"bytes_in": 10**12}, {"bytes_stored": -1}, {"amount": 100_000}, {"request_id": "a b"},
        {"code": "no such code!"},        {"memory_mb": -5}, {"total_ms": None},
    ],
)  # fmt: skip
def test_what_no_request_can_take_is_refused(
    alice: User, record: Callable[..., httpx.Response], wrong: dict[str, object]
) -> None:
    assert record(alice.token or "", **wrong).status_code == 400


def test_without_a_token_nothing_is_taken(keys: Keys, record: Callable[..., httpx.Response]) -> None:
    assert record(keys.anon_key).status_code in (401, 403)


def test_an_api_key_that_only_reads_is_told_too(
    keys: Keys, claims: Claims, alice: User, database: Database, record: Callable[..., httpx.Response]
) -> None:
    made = alice.post("api_keys", {"name": "reader", "scopes": ["read"]}).json["key"]
    answer = Client().get("get_frames", headers={"X-Api-Key": made}, sessionId=str(uuid.uuid4()))
    assert told(database, answer.headers["x-request-id"])["user_id"] == alice.subject
