"""create_upload: tickets for direct uploads, and what became of them."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest

from shared.settings import settings
from tests.client import Answer, Client
from tests.people import User

Database = psycopg.Connection[Any]
MEBIBYTE = 1024 * 1024


def file(**more: object) -> dict[str, object]:
    return {"frameId": 1, "contentType": "image/png", "bytes": 1000, "kind": "frame", **more}


def ask(client: Client, *files: dict[str, object], user_id: str | None = None, **headers: str) -> Answer:
    body: dict[str, object] = {"files": list(files)}
    return client.post("create_upload", body | ({"userId": user_id} if user_id else {}), **headers)


def state(client: Client, upload_id: str, **query: str) -> Answer:
    more: dict[str, Any] = {"uploadId": upload_id, **query}
    return client.get("create_upload", **more)


def test_gives_a_ticket_for_each_file_in_their_order(alice: User, database: Database) -> None:
    answer = ask(alice, *(file(frameId=number, bytes=1000 + number) for number in range(1, 51)))
    assert answer.status == 200
    tickets = answer.json["uploads"]
    assert len(tickets) == 50
    for number, ticket in enumerate(tickets, start=1):
        row = database.execute(
            "select frame_id, bytes, status, user_id from public.uploads where id = %s", (ticket["uploadId"],)
        ).fetchone()
        assert row == (str(number), 1000 + number, "waiting", alice.subject)
        assert ticket["fields"]["key"] == f"uploads/{ticket['uploadId']}"
        assert ticket["fields"]["Content-Type"] == "image/png"
        assert ticket["fields"].keys() >= {"policy", "x-amz-signature", "x-amz-date", "x-amz-credential"}
        left = datetime.fromisoformat(ticket["expiresAt"]) - datetime.now(UTC)
        assert 3500 < left.total_seconds() <= 3600


def test_the_state_of_a_ticket_that_nobody_has_used_is_waiting(alice: User) -> None:
    upload_id = ask(alice, file(frameId="intro")).json["uploads"][0]["uploadId"]
    found = state(alice, upload_id).json
    assert (found["status"], found["frameId"], found["kind"]) == ("waiting", "intro", "frame")
    assert "imageUrl" not in found


def test_a_ticket_that_ran_out_is_expired(alice: User, database: Database) -> None:
    upload_id = ask(alice, file()).json["uploads"][0]["uploadId"]
    database.execute("update public.uploads set expires_at = now() - interval '1 second' where id = %s", (upload_id,))
    assert state(alice, upload_id).json["status"] == "expired"


def test_somebody_elses_upload_is_not_found(alice: User, bob: User, guest: Client) -> None:
    upload_id = ask(alice, file()).json["uploads"][0]["uploadId"]
    for stranger, asked in ((bob, upload_id), (guest, upload_id), (alice, str(uuid.uuid4()))):
        answer = state(stranger, asked)
        assert (answer.status, answer.code) == (404, "upload_not_found")


def test_a_guest_gets_an_id_and_asks_with_it(guest: Client) -> None:
    made = ask(guest, file()).json
    assert made["userId"].startswith("guest_")
    assert state(guest, made["uploads"][0]["uploadId"], userId=made["userId"]).json["status"] == "waiting"


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"kind": "other"}, "files[0].kind"),
        ({"contentType": "image/svg+xml"}, "files[0]"),
        ({"contentType": "text/html"}, "files[0]"),
        ({"contentType": "video/mp4"}, "files[0]"),
        ({"kind": "clip"}, "files[0]"),
        ({"bytes": 0}, "files[0].bytes"),
        ({"bytes": -5}, "files[0].bytes"),
        ({"bytes": "many"}, "files[0].bytes"),
        ({"bytes": 50 * MEBIBYTE + 1}, "files[0]"),
        ({"kind": "clip", "contentType": "video/mp4", "bytes": 500 * MEBIBYTE + 1}, "files[0]"),
        ({"kind": "audio", "contentType": "audio/mpeg", "bytes": 50 * MEBIBYTE + 1}, "files[0]"),
        ({"frameId": None}, "files[0]"),
        ({"frameId": "../../etc/passwd"}, "files[0].frameId"),
        ({"frameId": "%2e%2e"}, "files[0].frameId"),
        ({"frameId": "a\0b"}, "files[0].frameId"),
        ({"frameId": "x" * 10_000}, "files[0].frameId"),
        ({"sha256": "abc"}, "files[0].sha256"),
    ],
)
def test_a_refusal_names_the_field_and_reserves_nothing(
    alice: User, database: Database, wrong: dict[str, object], path: str
) -> None:
    answer = ask(alice, file(**wrong))
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert path in [error["path"] for error in answer.json["errors"]]
    count = database.execute("select count(*) from public.uploads where user_id = %s", (alice.subject,)).fetchone()
    assert count == (0,)


@pytest.mark.parametrize(
    "right",
    [
        {"bytes": 50 * MEBIBYTE},
        {"kind": "clip", "contentType": "video/mp4", "bytes": 500 * MEBIBYTE},
        {"kind": "audio", "contentType": "audio/mpeg", "bytes": 50 * MEBIBYTE, "frameId": None},
    ],
)
def test_each_kind_may_be_as_large_as_its_limit(alice: User, right: dict[str, object]) -> None:
    assert ask(alice, file(**right)).status == 200


@pytest.mark.parametrize("count", [0, 51])
def test_between_one_and_fifty_files_are_taken(alice: User, count: int) -> None:
    answer = ask(alice, *(file() for _ in range(count)))
    assert (answer.status, answer.json["errors"][0]["path"]) == (422, "files")


@pytest.fixture
def small_quota(database: Database) -> Any:
    database.execute("update private.quotas set amount = 10000 where name in ('upload_bytes', 'guest_upload_bytes')")
    yield
    database.execute("update private.quotas set amount = 10737418240 where name = 'upload_bytes'")
    database.execute("update private.quotas set amount = 1073741824 where name = 'guest_upload_bytes'")


@pytest.mark.usefixtures("small_quota")
class TestQuota:
    """Counted when a ticket is given."""

    def test_what_is_announced_counts_all_or_none(self, alice: User, bob: User, database: Database) -> None:
        assert ask(alice, file(bytes=6000)).status == 200
        answer = ask(alice, file(bytes=3000), file(bytes=3000))
        assert (answer.status, answer.code) == (403, "quota_exceeded")
        count = database.execute("select count(*) from public.uploads where user_id = %s", (alice.subject,)).fetchone()
        assert count == (1,)
        assert ask(bob, file(bytes=6000)).status == 200

    def test_unused_tickets_count_no_longer_when_they_have_run_out(self, alice: User, database: Database) -> None:
        ask(alice, file(bytes=9000))
        database.execute("update public.uploads set expires_at = now() where user_id = %s", (alice.subject,))
        assert ask(alice, file(bytes=9000)).status == 200

    def test_requests_at_the_same_time_cannot_pass_it_together(self, alice: User, database: Database) -> None:
        subject = alice.subject
        statement = (
            "insert into public.uploads (user_id, kind, content_type, bytes) values (%s, 'audio', 'audio/mpeg', 4000)"
        )

        def reserve(_: int) -> bool:
            with psycopg.connect(database.info.dsn, password=database.info.password, autocommit=True) as one:
                try:
                    with one.transaction():
                        one.execute("select set_config('request.jwt.claims', %s, true)", (f'{{"sub": "{subject}"}}',))
                        one.execute(statement, (subject,))
                except psycopg.Error:
                    return False
                return True

        with ThreadPoolExecutor(8) as at_once:
            assert sum(at_once.map(reserve, range(8))) == 2

    def test_the_database_holds_it_for_direct_writes_too(self, alice: User) -> None:
        headers = {"apikey": settings().anon_key, "Authorization": f"Bearer {alice.token}"}
        row = {"user_id": alice.subject, "kind": "audio", "content_type": "audio/mpeg", "bytes": 20_000}
        answer = httpx.post(f"{settings().supabase_url}/rest/v1/uploads", json=row, headers=headers)
        assert answer.status_code == 403


def test_an_idempotency_key_gives_tickets_for_the_same_uploads(alice: User) -> None:
    first = ask(alice, file(), Idempotency_Key="k").json["uploads"]
    again = ask(alice, file(), Idempotency_Key="k").json["uploads"]
    assert [one["uploadId"] for one in again] == [one["uploadId"] for one in first]
    assert ask(alice, file(bytes=5), Idempotency_Key="k").code == "idempotency_key_reused"
