"""webhooks: where events are announced, who may say so, and that each event gets into the outbox once."""

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.stack import Stack
from shared.paging import cursor_behind
from shared.settings import settings
from tests.client import Answer, Client, event, invoke
from tests.functions.test_any_input import JSON, MANY, assert_contract, one_of
from tests.functions.test_create_upload import ask, file
from tests.people import User
from tests.webhooks import (
    EVENTS,
    HOOK,
    Queue,
    act,
    endpoint,
    finish,
    finished_video,
    log_of,
    outbox,
    row,
    video,
)

Database = psycopg.Connection[Any]


@pytest.fixture(autouse=True)
def quiet(queue: Queue) -> Queue:
    """Nobody delivers what these tests announce."""
    return queue


@pytest.fixture
def deployed(function_environment: pytest.MonkeyPatch) -> Iterator[None]:
    """The rules of a deployment: no private addresses."""
    function_environment.setenv("WEBHOOK_ALLOW_PRIVATE", "off")
    settings.cache_clear()
    yield


def read(user: Client, **query: Any) -> Answer:
    return user.get("webhooks", **query)


NEW = {"p_url": HOOK, "p_events": EVENTS, "p_description": None}


def rest(stack: Stack, user: User, method: str, path: str, **more: Any) -> httpx.Response:
    headers = {"apikey": stack.info["anonKey"], "Authorization": f"Bearer {user.token}", **more.pop("headers", {})}
    url = f"{stack.info['supabaseUrl']}/rest/v1/{path}"
    return httpx.request(method, url, headers=headers, timeout=60, **more)


def at_once(stack: Stack, user: User, function: str, bodies: list[dict[str, Any]]) -> list[httpx.Response]:
    """Call a database function as this user, eight times at the same moment."""
    with ThreadPoolExecutor(8) as together:
        return list(together.map(lambda body: rest(stack, user, "POST", f"rpc/{function}", json=body), bodies))


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


# Secrets


def test_rotating_gives_a_new_secret_and_the_old_one_signs_for_a_day(alice: User, database: Database) -> None:
    endpoint_id, first = endpoint(alice)
    rotated = act(alice, "rotate_secret", endpointId=endpoint_id).json
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != first
    assert rotated["endpointId"] == endpoint_id
    found = secrets(database, endpoint_id)
    assert [one[0] for one in found] == [first, rotated["secret"]]
    assert [one[1] for one in found] == [24, None]
    assert rotated["previousSecretExpiresAt"] is not None


def secrets(database: Database, endpoint_id: str) -> list[tuple[str, int | None]]:
    """Return the secrets of an endpoint and in how many hours they expire, oldest first."""
    return database.execute(
        "select secret, round(extract(epoch from expires_at - now()) / 3600)::integer from private.webhook_secrets"
        " where endpoint_id = %s order by id",
        (endpoint_id,),
    ).fetchall()


def test_without_overlap_the_old_secret_is_gone_at_once(alice: User, database: Database) -> None:
    endpoint_id, _ = endpoint(alice)
    rotated = act(alice, "rotate_secret", endpointId=endpoint_id, overlapHours=0).json
    assert secrets(database, endpoint_id) == [(rotated["secret"], None)]
    assert rotated["previousSecretExpiresAt"] is None


def test_rotating_again_and_again_keeps_the_two_before(alice: User, database: Database) -> None:
    endpoint_id, _ = endpoint(alice)
    made = [act(alice, "rotate_secret", endpointId=endpoint_id).json["secret"] for _ in range(4)]
    assert [one for one, _ in secrets(database, endpoint_id)] == made[-3:]


def test_a_repeated_rotation_answers_the_same_secret(alice: User, database: Database) -> None:
    endpoint_id, _ = endpoint(alice)
    body = {"action": "rotate_secret", "endpointId": endpoint_id}
    answers = [alice.post("webhooks", body, Idempotency_Key="r").json for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(secrets(database, endpoint_id)) == 2


def test_rotations_at_once_leave_one_current_secret(stack: Stack, alice: User, database: Database) -> None:
    endpoint_id, _ = endpoint(alice)
    rotation = {"p_endpoint_id": endpoint_id, "p_overlap_hours": 24}
    answers = at_once(stack, alice, "rotate_webhook_secret", [rotation] * 6)
    assert {answer.status_code for answer in answers} == {200}
    assert sum(expiry is None for _, expiry in secrets(database, endpoint_id)) == 1


def test_without_an_endpoint_the_users_own_secret_is_rotated(alice: User, bob: User) -> None:
    own = act(alice, "rotate_secret").json
    assert (own["endpointId"], own["previousSecretExpiresAt"]) == (None, None)
    assert act(alice, "rotate_secret").json["secret"] != own["secret"]
    assert act(bob, "rotate_secret").json["secret"] != own["secret"]


def test_secrets_cannot_be_read_past_the_function(stack: Stack, alice: User, bob: User) -> None:
    endpoint_id, secret = endpoint(alice)
    for user in (alice, bob):
        for path, headers in [
            ("webhook_secrets", {}),
            ("webhook_secrets", {"Accept-Profile": "private"}),
            ("webhook_endpoints?select=*,webhook_secrets(*)", {}),
        ]:
            answer = rest(stack, user, "GET", path, headers=headers)
            assert answer.status_code >= 400, answer.text
        for function, body in [
            ("claim_delivery", {"p_delivery_id": str(uuid.uuid4()), "p_worker": "w", "p_lease_seconds": 1}),
            ("announce_deliveries", {"p_limit": 1}),
            ("forget_deliveries", {"p_dry_run": False}),
            ("webhook_secret", {"p_endpoint_id": endpoint_id}),
            ("replace_webhook_secret", {"p_endpoint_id": endpoint_id, "p_overlap_hours": 0}),
        ]:
            answer = rest(stack, user, "POST", f"rpc/{function}", json=body)
            assert answer.status_code in (403, 404), (function, answer.text)
            assert secret not in answer.text


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


# Lists


def test_lists_are_paged_without_loss_or_repetition(alice: User, database: Database) -> None:
    made = [endpoint(alice, f"{HOOK}/{number}", events=["video.failed"])[0] for number in range(5)]
    assert pages(alice, "endpoints") == [made[4:2:-1], made[2:0:-1], made[:1]]
    endpoint_id, _ = endpoint(alice, events=["video.completed"])
    videos = [finished_video(database, alice) for _ in range(5)]
    listed = pages(alice, "deliveries", endpointId=endpoint_id)
    assert [len(page) for page in listed] == [2, 2, 1]
    shown = [one["videoId"] for one in log_of(alice, endpoint_id)]
    assert shown == videos[::-1]


def pages(user: User, name: str, **query: object) -> list[list[str]]:
    found = []
    named = {"endpoints": "endpointId", "deliveries": "deliveryId"}[name]
    cursor: dict[str, object] = {}
    while True:
        answer = read(user, limit=2, **query, **cursor).json
        found.append([one[named] for one in answer[name]])
        if answer["nextCursor"] is None:
            return found
        cursor = {"cursor": answer["nextCursor"]}


@pytest.mark.parametrize("cursor", ["x", "AAAA", cursor_behind("webhook_deliveries", 1), cursor_behind("frames", 1)])
def test_a_cursor_of_another_list_is_refused(alice: User, cursor: str) -> None:
    assert read(alice, cursor=cursor).code == "invalid_cursor"


def test_a_cursor_behind_everything_finds_nothing(alice: User) -> None:
    endpoint(alice)
    for number, count in ((2**63 - 1, 1), (0, 0)):
        answer = read(alice, cursor=cursor_behind("webhook_endpoints", number))
        assert len(answer.json["endpoints"]) == count


def test_the_deliveries_of_one_video_are_found(alice: User, database: Database) -> None:
    endpoint_id, _ = endpoint(alice)
    wanted, _ = (finished_video(database, alice, webhookUrl=HOOK + "/one-off") for _ in range(2))
    found = read(alice, videoId=wanted).json
    assert found["endpoint"] is None
    assert {(one["endpointId"], one["url"]) for one in found["deliveries"]} == {
        (endpoint_id, None),
        (None, HOOK + "/one-off"),
    }
    assert {one["videoId"] for one in found["deliveries"]} == {wanted}
    assert [one["videoId"] for one in log_of(alice, endpoint_id, videoId=wanted)] == [wanted]


# Trying out, and again


def test_a_ping_is_a_delivery_on_its_way(alice: User, queue: Queue) -> None:
    endpoint_id, _ = endpoint(alice, events=["video.failed"])
    pinged = act(alice, "ping", endpointId=endpoint_id).json["delivery"]
    assert (pinged["type"], pinged["status"], pinged["attempts"]) == ("ping", "pending", 0)
    assert pinged["payload"]["data"] == {"endpointId": endpoint_id}
    assert queue.take() == [{"deliveryId": pinged["deliveryId"], "attempts": 0}]
    assert log_of(alice, endpoint_id) == [pinged]


def test_what_is_delivered_again_is_the_same_event_once_more(alice: User, database: Database, queue: Queue) -> None:
    endpoint_id, _ = endpoint(alice)
    finished_video(database, alice)
    [first] = log_of(alice, endpoint_id)
    again = act(alice, "redeliver", deliveryId=first["deliveryId"]).json["delivery"]
    assert again["deliveryId"] != first["deliveryId"]
    for same in ("eventId", "type", "payload", "endpointId", "videoId"):
        assert again[same] == first[same]
    assert again["redeliveryOf"] == first["deliveryId"]
    assert queue.take() == [{"deliveryId": again["deliveryId"], "attempts": 0}]
    assert [one["deliveryId"] for one in log_of(alice, endpoint_id)] == [again["deliveryId"], first["deliveryId"]]


def test_a_disabled_endpoint_gets_neither_pings_nor_repeats_nor_events(alice: User, database: Database) -> None:
    endpoint_id, _ = endpoint(alice)
    finished_video(database, alice)
    [delivery] = log_of(alice, endpoint_id)
    act(alice, "update", endpointId=endpoint_id, enabled=False)
    for refused in (
        act(alice, "ping", endpointId=endpoint_id),
        act(alice, "redeliver", deliveryId=delivery["deliveryId"]),
    ):
        assert (refused.status, refused.code) == (409, "webhook_disabled")
    finished_video(database, alice)
    assert len(log_of(alice, endpoint_id)) == 1


def test_a_ping_is_kept_while_the_queue_is_down(
    alice: User, database: Database, function_environment: pytest.MonkeyPatch
) -> None:
    endpoint_id, _ = endpoint(alice)
    function_environment.setenv("WEBHOOK_QUEUE_URL", "http://127.0.0.1:9/000000000000/nowhere")
    settings.cache_clear()
    pinged = act(alice, "ping", endpointId=endpoint_id)
    assert pinged.status == 200
    assert row(database, pinged.json["delivery"]["deliveryId"])["status"] == "pending"


# The outbox


def test_an_event_is_in_the_outbox_when_its_transaction_commits_and_not_before(
    alice: User, database: Database, stack: Stack
) -> None:
    endpoint(alice)
    kept, undone = video(database, alice), video(database, alice)
    with psycopg.connect(stack.superuser_url) as transaction:
        finish(transaction, undone)
        assert len(outbox(transaction, alice)) == 1
        assert outbox(database, alice) == []
        transaction.rollback()
        finish(transaction, kept)
        assert outbox(database, alice) == []
        transaction.commit()
    assert [one["video_id"] for one in outbox(database, alice)] == [kept]


def test_each_endpoint_of_the_owner_that_asks_for_it_gets_an_event_once(
    alice: User, bob: User, database: Database
) -> None:
    every, _ = endpoint(alice)
    completed, _ = endpoint(alice, events=["video.completed"])
    endpoint(alice, events=["video.failed", "upload.rejected"])
    disabled, _ = endpoint(alice)
    act(alice, "update", endpointId=disabled, enabled=False)
    endpoint(bob)
    video_id = finished_video(database, alice)
    found = outbox(database, alice)
    assert {one["endpoint_id"] for one in found} == {every, completed}
    assert len({one["event_id"] for one in found}) == 1
    assert {(one["type"], one["video_id"], one["status"]) for one in found} == {
        ("video.completed", video_id, "pending")
    }
    assert outbox(database, bob) == []


def test_changes_that_are_no_events_are_not_announced(alice: User, database: Database) -> None:
    endpoint(alice)
    video_id = video(database, alice, status="queued")
    for status in ("rendering", "merging"):
        finish(database, video_id, status)
    finish(database, video_id, "merging", progress=0.9)
    assert outbox(database, alice) == []
    finish(database, video_id, "completed")
    finish(database, video_id, "completed", progress=1)
    assert len(outbox(database, alice)) == 1
    canceled = video(database, alice)
    finish(database, canceled, "canceled")
    assert len(outbox(database, alice)) == 1


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_video_that_has_ended_when_it_is_written_is_announced_too(
    alice: User, database: Database, status: str
) -> None:
    endpoint(alice)
    video(database, alice, status=status)
    assert [one["type"] for one in outbox(database, alice)] == [f"video.{status}"]


def test_an_event_tells_what_get_video_would(alice: User, database: Database) -> None:
    endpoint(alice)
    video_id = video(database, alice)
    finish(database, video_id, video_url="https://x/v.mp4", poster_url="https://x/p.webp", duration_seconds=5,
           width=1280, height=720, fps=30, bytes=1000, cost=0.01)  # fmt: skip
    [one] = outbox(database, alice)
    payload = one["payload"]
    assert payload["id"] == one["event_id"]
    assert payload["type"] == "video.completed"
    assert payload["timestamp"].endswith("Z")
    assert payload["data"] == {
        "videoId": video_id, "sessionId": payload["data"]["sessionId"], "status": "completed",
        "videoUrl": "https://x/v.mp4", "posterUrl": "https://x/p.webp", "previewUrl": None, "captionsUrl": None,
        "durationSeconds": 5, "width": 1280, "height": 720, "fps": 30, "bytes": 1000, "cost": 0.01,
    }  # fmt: skip


def test_a_failure_says_why(alice: User, database: Database) -> None:
    endpoint(alice)
    error = {"code": "rendering_failed", "detail": "In three tries.", "frameNumber": 3}
    finish(database, video(database, alice), "failed", error=json.dumps(error))
    finish(database, video(database, alice), "failed", error=json.dumps({"detail": "x" * 9000}))
    small, large = (one["payload"] for one in outbox(database, alice))
    assert (small["type"], small["data"]["error"]) == ("video.failed", error)
    assert large["data"]["error"] is None


def test_a_rejected_upload_is_announced_however_it_came(alice: User, database: Database) -> None:
    endpoint(alice, events=["upload.rejected"])
    upload_id = ask(alice, file()).json["uploads"][0]["uploadId"]
    database.execute(
        "update public.uploads set status = 'rejected', code = 'not_an_image', detail = 'd' where id = %s", (upload_id,)
    )
    for _ in range(2):
        database.execute(
            "select public.record_storage_upload(%s, 'a/frames/x.png@1', 1, 'image/png', 'rejected', null, 'c', 'd')",
            (alice.subject,),
        )
    announced, stored = (one["payload"]["data"] for one in outbox(database, alice))
    assert (announced["uploadId"], announced["code"], announced["kind"]) == (upload_id, "not_an_image", "frame")
    assert stored["code"] == "c"


def test_the_address_given_for_one_video_gets_its_event_once(alice: User, bob: User, database: Database) -> None:
    finished_video(database, alice, webhookUrl=HOOK)
    finished_video(database, bob, status="failed", webhookUrl=HOOK)
    for user, kind in ((alice, "video.completed"), (bob, "video.failed")):
        [one] = outbox(database, user)
        assert (one["url"], one["endpoint_id"], one["type"]) == (HOOK, None, kind)
        count = database.execute(
            "select count(*) from private.webhook_secrets where user_id = %s and endpoint_id is null", (user.subject,)
        )
        assert count.fetchone() == (1,)


@pytest.mark.parametrize(
    "url", ["ftp://x.example/", "https://x.example/ y", "https://" + "x" * 3000, 7, None, {"a": 1}]
)
def test_an_address_that_cannot_be_one_does_not_keep_a_video_from_finishing(
    alice: User, database: Database, url: object
) -> None:
    video_id = finished_video(database, alice, webhookUrl=url)
    assert outbox(database, alice) == []
    found = database.execute("select status from public.final_videos where video_id = %s", (video_id,)).fetchone()
    assert found == ("completed",)


def test_an_event_that_is_announced_again_changes_nothing(alice: User, database: Database) -> None:
    endpoint(alice)
    finished_video(database, alice, webhookUrl=HOOK)
    before = outbox(database, alice)
    assert len(before) == 2
    announce = "select private.announce_event(%s, 'video.completed', %s, '{}', %s, %s)"
    database.execute(announce, (alice.subject, before[0]["video_id"], before[0]["video_id"], HOOK))
    assert outbox(database, alice) == before


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
