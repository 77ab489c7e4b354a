"""webhooks: secrets are rotated, with an overlap, and read by nobody else."""

import uuid
from typing import Any

import psycopg
import pytest

from infra.local.stack import Stack
from tests.people import User
from tests.webhooks import act, at_once, endpoint, rest

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("queue")  # nobody else delivers what is announced here


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
