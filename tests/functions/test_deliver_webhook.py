"""deliver_webhook: every event arrives, signed, and no secret is logged."""

import base64
import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from standardwebhooks import WebhookVerificationError

from functions.deliver_webhook import handler as module
from infra.local.stack import Stack
from shared.deliveries import announce_pending
from shared.media_urls import media_path
from shared.settings import settings
from shared.supabase_access import as_service
from tests.functions.test_create_upload import ask, file
from tests.logs import Lines
from tests.people import User
from tests.receivers import Manner, Received, Receiver
from tests.storyboards import png
from tests.webhooks import (
    HOOK,
    act,
    deliver,
    endpoint,
    eventually,
    finish,
    finished_video,
    log_of,
    outbox,
    pending,
    row,
    verified,
    video,
)

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("queue")  # nobody else delivers what is announced here


# What a good receiver gets


def test_an_event_arrives_signed_as_standard_webhooks_are(alice: User, database: Database, receiver: Receiver) -> None:
    endpoint_id, secret = endpoint(alice, receiver.url)
    video_id = finished_video(database, alice)
    assert deliver(pending(database, alice))
    [request] = receiver.received
    assert request.line == "POST /hook?token=in-the-url HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
    [stored] = log_of(alice, endpoint_id)
    assert request.headers["webhook-id"] == stored["eventId"] == request.json["id"]
    assert verified(secret, request) == stored["payload"]
    assert request.json["data"]["videoId"] == video_id
    assert (stored["status"], stored["attempts"], stored["statusCode"]) == ("delivered", 1, 200)
    assert (stored["error"], stored["response"], stored["nextAttemptAt"]) == (None, "thanks", None)
    assert stored["durationMs"] >= 0
    assert stored["attemptedAt"] is not None


def test_a_signature_holds_for_its_own_body_id_time_and_secret_only(
    alice: User, database: Database, receiver: Receiver
) -> None:
    _, secret = endpoint(alice, receiver.url)
    _, other = endpoint(alice, HOOK, events=["video.failed"])
    finished_video(database, alice)
    deliver(pending(database, alice))
    [request] = receiver.received
    for changed in (
        Received("", request.headers, request.body.replace(b"completed", b"c0mpleted", 1)),
        Received("", request.headers | {"webhook-id": "evt_other"}, request.body),
        Received("", request.headers | {"webhook-timestamp": str(int(time.time()) + 2)}, request.body),
    ):
        with pytest.raises(WebhookVerificationError):
            verified(secret, changed)
    with pytest.raises(WebhookVerificationError):
        verified(other, request)


def test_while_a_secret_is_rotated_both_verify_and_afterwards_only_the_new_one(
    alice: User, database: Database, receiver: Receiver
) -> None:
    endpoint_id, first = endpoint(alice, receiver.url)
    second = act(alice, "rotate_secret", endpointId=endpoint_id).json["secret"]
    finished_video(database, alice)
    deliver(pending(database, alice))
    during = receiver.received[-1]
    assert len(during.headers["webhook-signature"].split(" ")) == 2
    assert verified(first, during) == verified(second, during)
    database.execute(
        "update private.webhook_secrets set expires_at = now() where endpoint_id = %s and expires_at is not null",
        (endpoint_id,),
    )
    finished_video(database, alice)
    deliver(pending(database, alice))
    after = receiver.received[-1]
    assert verified(second, after)
    with pytest.raises(WebhookVerificationError):
        verified(first, after)


def test_signatures_equal_those_of_the_standard() -> None:
    """The example of the specification's own libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    found = module.signatures([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_address_given_for_a_video_is_signed_with_its_owners_secret(
    alice: User, bob: User, database: Database, receiver: Receiver
) -> None:
    finished_video(database, alice, webhookUrl=receiver.url)
    secret, other = (act(user, "rotate_secret").json["secret"] for user in (alice, bob))
    assert deliver(pending(database, alice))
    assert verified(secret, receiver.received[0])
    with pytest.raises(WebhookVerificationError):
        verified(other, receiver.received[0])
    finished_video(database, alice, status="failed", webhookUrl=receiver.url)
    deliver(pending(database, alice))
    assert verified(secret, receiver.received[1])["type"] == "video.failed"


def test_files_of_a_private_bucket_come_with_urls_that_are_signed_now(
    alice: User, database: Database, receiver: Receiver, function_environment: pytest.MonkeyPatch
) -> None:
    function_environment.setenv("BUCKET_ACCESS", "private")
    settings.cache_clear()
    path = f"{alice.subject}/videos/{uuid.uuid4()}.webp"
    as_service().store(path, png(), "image/webp")
    _, secret = endpoint(alice, receiver.url)
    video_id = video(database, alice)
    finish(database, video_id, video_url=path, poster_url="https://elsewhere.example/p.webp")
    delivery_id = pending(database, alice)
    deliver(delivery_id)
    data = verified(secret, receiver.received[0])["data"]
    assert httpx.get(data["videoUrl"]).content == png()
    assert (data["posterUrl"], data["captionsUrl"]) == ("https://elsewhere.example/p.webp", None)
    assert datetime.fromisoformat(data["expiresAt"]) > datetime.now(UTC)
    assert row(database, delivery_id)["payload"]["data"]["videoUrl"] == path
    assert media_path(data["videoUrl"]) == path


# Secrets


def test_no_log_line_holds_a_secret_an_address_or_a_body(
    alice: User, database: Database, receiver: Receiver, logged: Lines, hasty: None
) -> None:
    endpoint_id, secret = endpoint(alice, receiver.url, description="a-description")
    rotated = act(alice, "rotate_secret", endpointId=endpoint_id).json["secret"]
    own = act(alice, "rotate_secret").json["secret"]
    act(alice, url="https://127.0.0.1/wrong-one")
    manners: list[Manner] = ["answer", "hang", "garbage", "die"]
    for manner in manners:
        receiver.manner, receiver.answer_body = manner, b"body-of-the-answer"
        finished_video(database, alice, webhookUrl=receiver.url)
        for one in outbox(database, alice):
            deliver(one["delivery_id"])
    receiver.close()
    finished_video(database, alice)
    deliver(pending(database, alice))
    text = "\n".join(json.dumps(one) for one in logged.records)
    assert "delivery_attempted" in text
    signatures = [one.headers["webhook-signature"] for one in receiver.received]
    assert len(signatures) >= 4
    for kept_back in (
        *(one.removeprefix("whsec_") for one in (secret, rotated, own)),
        *(base64.b64decode(one.removeprefix("whsec_")).hex() for one in (secret, rotated, own)),
        *(part.removeprefix("v1,") for one in signatures for part in one.split(" ")),
        "whsec_",
        "in-the-url",
        "127.0.0.1",
        "wrong-one",
        "body-of-the-answer",
        "sessionId",
        "a-description",
    ):
        assert kept_back not in text


# Through the whole stack


def test_from_a_finished_video_to_a_verified_event_over_queue_and_gateway(
    stack: Stack, alice: User, database: Database, receiver: Receiver, function_environment: pytest.MonkeyPatch
) -> None:
    function_environment.setenv("WEBHOOK_QUEUE_URL", stack.function_environment()["WEBHOOK_QUEUE_URL"])
    settings.cache_clear()
    api = httpx.Client(base_url=stack.info["apiUrl"], headers={"Authorization": f"Bearer {alice.token}"}, timeout=60)
    created = api.post("/api/webhooks", json={"url": receiver.url}).json()
    endpoint_id, secret = created["endpoint"]["endpointId"], created["secret"]
    receiver.status = 503
    pinged = api.post("/api/webhooks", json={"action": "ping", "endpointId": endpoint_id}).json()["delivery"]
    eventually(lambda: len(receiver.received) == 1)
    receiver.status = 200
    eventually(lambda: log_of(alice, endpoint_id)[0]["status"] == "delivered")
    assert log_of(alice, endpoint_id)[0]["attempts"] == 2
    finished_video(database, alice)
    announce_pending(as_service())
    eventually(lambda: len(receiver.received) == 3)
    events = [verified(secret, one) for one in receiver.received]
    assert [one["type"] for one in events] == ["ping", "ping", "video.completed"]
    assert events[0]["id"] == events[1]["id"] == pinged["eventId"]
    assert api.request("DELETE", "/api/webhooks", params={"endpointId": endpoint_id}).json()["success"] is True


def test_a_rejected_upload_is_announced_by_the_function_that_rejects_it(
    stack: Stack, alice: User, receiver: Receiver
) -> None:
    _, secret = endpoint(alice, receiver.url, events=["upload.rejected"])
    ticket = ask(alice, file(bytes=5)).json["uploads"][0]
    sent = httpx.post(ticket["url"], data=ticket["fields"], files={"file": ("picture", b"hello")}, timeout=60)
    assert sent.status_code == 204
    eventually(lambda: len(receiver.received) == 1)
    event = verified(secret, receiver.received[0])
    assert (event["type"], event["data"]["code"]) == ("upload.rejected", "not_an_image")
    assert json.loads(receiver.received[0].body)["data"]["uploadId"] == ticket["uploadId"]
