"""webhooks: where events are announced, and who may say so."""

import base64
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.stack import Stack
from shared.settings import settings
from tests.client import Answer, Client, event, invoke
from tests.functions.test_any_input import JSON, MANY, assert_contract, one_of
from tests.people import User
from tests.webhooks import EVENTS, HOOK, act, at_once, endpoint, finished_video, log_of, outbox, read, rest

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("queue")  # nobody else delivers what is announced here


@pytest.fixture
def deployed(function_environment: pytest.MonkeyPatch) -> Iterator[None]:
    """The rules of a deployment: no private addresses."""
    function_environment.setenv("WEBHOOK_ALLOW_PRIVATE", "off")
    settings.cache_clear()
    yield


NEW = {"p_url": HOOK, "p_events": EVENTS, "p_description": None}


# Endpoints


def test_an_endpoint_is_created_with_a_secret_that_is_shown_once(alice: User) -> None:
    answer = act(alice, url=HOOK, events=["video.failed"], description=" My app ")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    secret = answer.json["secret"]
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    found = answer.json["endpoint"]
    assert (found["url"], found["events"], found["description"]) == (HOOK, ["video.failed"], "My app")
    assert (found["enabled"], found["disabledReason"], found["failures"]) == (True, None, 0)
    listed = read(alice)
    assert listed.json["endpoints"] == [found]
    for shown in (listed, read(alice, endpointId=found["endpointId"])):
        assert b"whsec_" not in shown.body
        assert secret.removeprefix("whsec_").encode() not in shown.body


def test_an_endpoint_gets_all_events_unless_it_asks_for_some(alice: User) -> None:
    assert act(alice, url=HOOK).json["endpoint"]["events"] == EVENTS
    twice = act(alice, url=HOOK, events=["video.failed", "video.failed"])
    assert twice.json["endpoint"]["events"] == ["video.failed"]


def test_secrets_are_all_different(alice: User) -> None:
    assert len({endpoint(alice)[1] for _ in range(5)}) == 5


def test_a_repeated_creation_answers_the_same_endpoint_and_secret(alice: User, database: Database) -> None:
    body = {"url": HOOK}
    first = alice.post("webhooks", body, Idempotency_Key="once")
    again = alice.post("webhooks", body, Idempotency_Key="once")
    assert first.json == again.json
    assert len(read(alice).json["endpoints"]) == 1
    other = alice.post("webhooks", {"url": HOOK + "/other"}, Idempotency_Key="once")
    assert (other.status, other.code) == (409, "idempotency_key_reused")
    kept = database.execute("select response::text from public.idempotency_keys where user_id = %s", (alice.subject,))
    assert "whsec_" not in str(kept.fetchall())


def test_parallel_creations_with_one_key_make_one_endpoint(stack: Stack, alice: User) -> None:
    once = NEW | {"p_idempotency_key": "k", "p_request_hash": "h"}
    answers = [answer.text for answer in at_once(stack, alice, "create_webhook_endpoint", [once] * 6)]
    assert len(set(answers)) == 1
    assert len(read(alice).json["endpoints"]) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.1.2.3:8443/",
        "https://[::ffff:10.0.0.1]/",
        "https://user:pass@receiver.example/",
        "https://localhost/",
        "https://receiver.example:22/",
        "https://receiver.example/" + "x" * 3000,
        "javascript:alert(1)",
        "",
        None,
        7,
    ],
)
def test_a_url_that_cannot_be_delivered_to_is_refused_and_nothing_stored(
    alice: User, deployed: None, url: object
) -> None:
    refused = act(alice, url=url)
    assert (refused.status, refused.code) == (422, "validation_failed")
    assert [one["path"] for one in refused.json["errors"]] == ["url"]
    endpoint_id, _ = endpoint(alice)
    assert act(alice, "update", endpointId=endpoint_id, url=url).status == (200 if url is None else 422)
    assert [one["url"] for one in read(alice).json["endpoints"]] == [HOOK]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "url"),
        ({"url": HOOK, "events": []}, "events"),
        ({"url": HOOK, "events": ["video.started"]}, "events[0]"),
        ({"url": HOOK, "description": "x" * 256}, "description"),
        ({"url": HOOK, "description": "a\0b"}, "description"),
        ({"action": "create"}, "url"),
        ({"action": "update"}, "endpointId"),
        ({"action": "ping"}, "endpointId"),
        ({"action": "ping", "endpointId": "x"}, "endpointId"),
        ({"action": "redeliver"}, "deliveryId"),
        ({"action": "rotate_secret", "overlapHours": -1}, "overlapHours"),
        ({"action": "rotate_secret", "overlapHours": 169}, "overlapHours"),
        ({"action": "explode"}, "action"),
    ],
)
def test_each_mistake_is_named(alice: User, body: dict[str, object], path: str) -> None:
    refused = alice.post("webhooks", body)
    assert (refused.status, refused.code) == (422, "validation_failed")
    assert [one["path"] for one in refused.json["errors"]] == [path]


def test_one_user_has_a_limited_number_of_endpoints_however_many_are_made_at_once(
    stack: Stack, alice: User, bob: User
) -> None:
    statuses = [answer.status_code for answer in at_once(stack, alice, "create_webhook_endpoint", [NEW] * 26)]
    assert sorted(statuses) == [200] * 20 + [403] * 6
    assert act(alice, url=HOOK).code == "too_many_webhooks"
    assert act(bob, url=HOOK).status == 200


def test_an_endpoint_is_changed_field_by_field(alice: User) -> None:
    endpoint_id, _ = endpoint(alice, description="one", events=["video.failed"])

    def change(**fields: object) -> dict[str, Any]:
        answer = act(alice, "update", endpointId=endpoint_id, **fields)
        assert answer.status == 200, answer.body
        assert "secret" not in answer.json
        found: dict[str, Any] = answer.json["endpoint"]
        return found

    assert change(url=HOOK + "/2")["url"] == HOOK + "/2"
    assert change(events=["upload.rejected"])["events"] == ["upload.rejected"]
    assert change(description="two")["description"] == "two"
    assert change(description=None)["description"] is None
    disabled = change(enabled=False)
    assert (disabled["enabled"], disabled["disabledReason"]) == (False, "by_owner")
    enabled = change(enabled=True)
    assert (enabled["enabled"], enabled["disabledReason"]) == (True, None)
    last = change()
    assert (last["url"], last["events"]) == (HOOK + "/2", ["upload.rejected"])


def test_a_deleted_endpoint_takes_its_secrets_and_its_log_along(alice: User, database: Database) -> None:
    endpoint_id, _ = endpoint(alice)
    finished_video(database, alice)
    assert len(outbox(database, alice)) == 1
    deleted = delete(alice, endpoint_id)
    assert deleted.json == {"success": True, "endpointId": endpoint_id}
    assert delete(alice, endpoint_id).code == "webhook_not_found"
    assert outbox(database, alice) == []
    count = database.execute("select count(*) from private.webhook_secrets where user_id = %s", (alice.subject,))
    assert count.fetchone() == (0,)


def delete(user: Client, endpoint_id: str) -> Answer:
    headers = {"Authorization": f"Bearer {user.token}"} if user.token else {}
    return invoke("webhooks", event("DELETE", query={"endpointId": endpoint_id}, headers=headers))


# Who may do what


def test_guests_have_no_webhooks(guest: Client) -> None:
    for refused in (act(guest, url=HOOK), read(guest), delete(guest, str(uuid.uuid4())), act(guest, "rotate_secret")):
        assert (refused.status, refused.code) == (401, "authentication_required")


def test_the_database_refuses_endpoints_of_guests_and_for_others(
    stack: Stack, alice: User, bob: User, claims: Callable[..., dict[str, object]], database: Database
) -> None:
    subject = str(uuid.uuid4())
    guest = User(subject, stack.keys.sign(claims(sub=subject, app_metadata={"provider": "guest"})))
    assert rest(stack, guest, "POST", "webhook_endpoints", json={"user_id": subject, "url": HOOK}).status_code == 403
    for_bob = {"user_id": bob.subject, "url": HOOK}
    assert rest(stack, alice, "POST", "webhook_endpoints", json=for_bob).status_code == 403
    own = {"user_id": alice.subject, "url": HOOK}
    assert rest(stack, alice, "POST", "webhook_endpoints", json=own).status_code == 201
    for column, value in [("failures", 0), ("disabled_reason", None), ("user_id", bob.subject)]:
        answer = rest(stack, alice, "PATCH", f"webhook_endpoints?user_id=eq.{alice.subject}", json={column: value})
        assert answer.status_code == 403, column
    wrong: list[dict[str, object]] = [{"url": "file:///etc/passwd"}, {"events": []}, {"events": ["x"]}]
    for one in wrong:
        assert rest(stack, alice, "POST", "webhook_endpoints", json=own | one).status_code == 400
    count = database.execute("select count(*) from public.webhook_endpoints where user_id = any(%s)",
                             ([alice.subject, bob.subject, subject],))  # fmt: skip
    assert count.fetchone() == (1,)


def test_somebody_elses_and_missing_ones_are_the_same(alice: User, bob: User, database: Database) -> None:
    endpoint_id, _ = endpoint(alice)
    finished_video(database, alice)
    [delivery] = log_of(alice, endpoint_id)
    before = (read(alice).json, outbox(database, alice))
    missing = str(uuid.uuid4())

    def attempts(endpoint_id: str, delivery_id: str) -> list[Answer]:
        return [
            act(bob, "update", endpointId=endpoint_id, url=HOOK + "/stolen"),
            act(bob, "rotate_secret", endpointId=endpoint_id),
            act(bob, "ping", endpointId=endpoint_id),
            act(bob, "redeliver", deliveryId=delivery_id),
            read(bob, endpointId=endpoint_id),
            delete(bob, endpoint_id),
        ]

    for foreign, absent in zip(attempts(endpoint_id, delivery["deliveryId"]), attempts(missing, missing), strict=True):
        assert foreign.status == absent.status == 404
        assert foreign.json | {"requestId": ""} == absent.json | {"requestId": ""}
    assert read(bob, videoId=delivery["videoId"]).json["deliveries"] == []
    assert read(bob).json["endpoints"] == []
    assert (read(alice).json, outbox(database, alice)) == before


def test_a_user_id_must_be_the_callers_own(alice: User, bob: User) -> None:
    assert act(alice, url=HOOK, userId=bob.subject).code == "user_mismatch"
    assert read(alice, userId=bob.subject).code == "user_mismatch"
    assert act(alice, url=HOOK, userId=alice.subject).status == 200


# Any input


@MANY
@given(data=st.data())
def test_any_json_is_answered(alice: User, data: st.DataObject) -> None:
    body = st.fixed_dictionaries(
        {},
        optional={
            "action": one_of("create", "update", "rotate_secret", "ping", "redeliver"),
            "endpointId": one_of(str(uuid.uuid4()), None),
            "deliveryId": one_of(str(uuid.uuid4()), None),
            "url": one_of(HOOK, "https://", "https://[", "http://:80"),
            "events": one_of(EVENTS, ["x"], []),
            "description": one_of("words", None),
            "enabled": one_of(True, False, None),
            "overlapHours": one_of(0, 24, 10**30),
            "userId": one_of(alice.subject, None),
        },
    )
    assert_contract(alice.post("webhooks", data.draw(body | JSON)))


@MANY
@given(query=st.dictionaries(st.sampled_from(["endpointId", "videoId", "limit", "cursor"]), st.text(max_size=30)))
def test_any_query_is_answered(alice: User, query: dict[str, str]) -> None:
    more: dict[str, Any] = dict(query)
    assert_contract(read(alice, **more))


def test_methods_that_there_are_not_are_refused(alice: User) -> None:
    assert invoke("webhooks", event("PUT", body="{}")).code == "method_not_allowed"
