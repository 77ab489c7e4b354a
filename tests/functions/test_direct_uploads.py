"""Direct uploads through the whole stack: ticket, POST as a browser sends it, notification, queue, function, state."""

import json
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import httpx
import psutil
import psycopg
import pytest
from PIL import Image

from infra.local.stack import Stack
from shared.settings import settings
from tests.functions.test_on_upload import POISON, s3_event
from tests.people import User
from tests.shared.image_files import encoded, gradient, noise
from tests.storyboards import png

Database = psycopg.Connection[Any]
SECONDS = 100  # until everything must have been processed; a limit for a hang, not a measure


class Browser:
    """A client of the stack over HTTP."""

    def __init__(self, stack: Stack, user: User) -> None:
        self._api = httpx.Client(
            base_url=stack.info["apiUrl"], headers={"Authorization": f"Bearer {user.token}"}, timeout=60
        )

    def tickets(self, files: list[dict[str, object]]) -> list[dict[str, Any]]:
        tickets: list[dict[str, Any]] = []
        for start in range(0, len(files), 50):
            answer = self._api.post("/api/create_upload", json={"files": files[start : start + 50]})
            assert answer.status_code == 200, answer.text
            tickets += answer.json()["uploads"]
        return tickets

    def state(self, upload_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._api.get("/api/create_upload", params={"uploadId": upload_id}).json()
        return found

    @staticmethod
    def post(ticket: dict[str, Any], data: bytes) -> httpx.Response:
        return httpx.post(ticket["url"], data=ticket["fields"], files={"file": ("picture", data)}, timeout=60)


@pytest.fixture
def browser(stack: Stack, alice: User) -> Browser:
    return Browser(stack, alice)


@pytest.fixture
def raw(function_environment: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Count the raw files in the ingest bucket."""
    s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])

    def count() -> int:
        return int(s3.list_objects_v2(Bucket=settings().ingest_bucket).get("KeyCount", 0))

    yield count


def announced(data: bytes, frame_id: int = 1, content_type: str = "image/png") -> dict[str, object]:
    return {"frameId": frame_id, "contentType": content_type, "bytes": len(data), "kind": "frame"}


def eventually(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.2)


def test_a_photo_of_25_megabytes_goes_from_ticket_to_ready(browser: Browser, raw: Callable[[], int]) -> None:
    size = (3300, 2700)
    grain = random.Random(4).randbytes(3 * size[0] * size[1])
    photo = encoded(Image.frombytes("RGB", size, grain), "PNG", compress_level=0)
    assert len(photo) > 25_000_000
    [ticket] = browser.tickets([announced(photo)])
    assert browser.post(ticket, photo).status_code == 204
    eventually(lambda: browser.state(ticket["uploadId"])["status"] == "ready")
    found = browser.state(ticket["uploadId"])
    assert (found["width"], found["height"], found["originalBytes"]) == (1920, 1571, len(photo))
    assert httpx.get(found["imageUrl"]).headers["content-type"] == "image/webp"
    assert raw() == 0


def test_what_s3_would_refuse_is_refused_here(browser: Browser, raw: Callable[[], int]) -> None:
    [ticket] = browser.tickets([announced(png())])
    longer = browser.post(ticket, png() + b"x")
    assert (longer.status_code, "EntityTooLarge" in longer.text) == (400, True)
    other_type = {**ticket, "fields": {**ticket["fields"], "Content-Type": "text/html"}}
    assert browser.post(other_type, png()).status_code == 403
    other_key = {**ticket, "fields": {**ticket["fields"], "key": f"uploads/{uuid.uuid4()}"}}
    assert browser.post(other_key, png()).status_code == 403
    forged = {**ticket, "fields": {**ticket["fields"], "x-amz-signature": "0" * 64}}
    assert browser.post(forged, png()).status_code == 403
    assert raw() == 0
    assert browser.state(ticket["uploadId"])["status"] == "waiting"


def test_two_hundred_uploads_with_twenty_poisoned_told_twice_and_shuffled(
    browser: Browser, alice: User, database: Database, raw: Callable[[], int]
) -> None:
    poison = list(POISON.values())
    files = [png(64 + number, 48) for number in range(180)] + [poison[number % 3][0] for number in range(20)]
    tickets = browser.tickets([announced(data, number) for number, data in enumerate(files, start=1)])
    order = random.Random(1).sample(range(200), 200)
    with ThreadPoolExecutor(6) as connections:
        assert set(connections.map(lambda at: browser.post(tickets[at], files[at]).status_code, order)) == {204}
    tell_again([tickets[at]["uploadId"] for at in random.Random(2).sample(range(200), 200)])
    eventually(lambda: unsettled(database, alice) == 0)
    eventually(lambda: raw() == 0)
    found = [browser.state(ticket["uploadId"]) for ticket in tickets]
    assert [one["status"] for one in found] == ["ready"] * 180 + ["rejected"] * 20
    assert [one["code"] for one in found[180:]] == [poison[number % 3][1] for number in range(20)]
    stored = database.execute("select count(*) from storage.objects where name like %s", (f"{alice.subject}/%",))
    assert stored.fetchone() == (360,)


def tell_again(upload_ids: list[str]) -> None:
    sqs = boto3.client("sqs", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    url = sqs.get_queue_url(QueueName="videomaker-ingest")["QueueUrl"]
    for upload_id in upload_ids:
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(s3_event(upload_id)))


def unsettled(database: Database, user: User) -> int:
    found = database.execute(
        "select count(*) from public.uploads where user_id = %s and status not in ('ready', 'rejected')",
        (user.subject,),
    ).fetchone()
    assert found
    return int(found[0])


def test_killing_the_function_in_the_middle_loses_nothing(
    stack: Stack, browser: Browser, alice: User, database: Database, raw: Callable[[], int]
) -> None:
    files = [encoded(gradient(1600 + number, 1200), "PNG") for number in range(12)]
    tickets = browser.tickets([announced(data, number) for number, data in enumerate(files, start=1)])
    for ticket, data in zip(tickets, files, strict=True):
        assert browser.post(ticket, data).status_code == 204
    for _ in range(2):
        eventually(lambda: processing(database, alice) or unsettled(database, alice) == 0)
        kill_environments(stack)
    eventually(lambda: unsettled(database, alice) == 0)
    eventually(lambda: raw() == 0)
    assert {browser.state(ticket["uploadId"])["status"] for ticket in tickets} == {"ready"}


def processing(database: Database, user: User) -> bool:
    query = "select from public.uploads where user_id = %s and status = 'processing'"
    return database.execute(query, (user.subject,)).fetchone() is not None


def kill_environments(stack: Stack) -> None:
    """End every process below the gateway's first children: the environments that run functions."""
    record = stack._processes._running["gateway"][1]
    for child in psutil.Process(record.pid).children():
        for environment in child.children(recursive=True):
            environment.kill()


def test_noise_alone_is_no_image(browser: Browser) -> None:
    data = random.Random(3).randbytes(10_000)
    [ticket] = browser.tickets([announced(data)])
    assert browser.post(ticket, data).status_code == 204
    eventually(lambda: browser.state(ticket["uploadId"])["status"] == "rejected")
    assert browser.state(ticket["uploadId"])["code"] == "not_an_image"


def test_many_formats_arrive_as_one(browser: Browser) -> None:
    types = {"JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif", "AVIF": "image/avif", "PNG": "image/png"}
    files = {name: encoded(noise(200, 120), name) for name in types}
    tickets = browser.tickets([announced(data, 1, types[name]) for name, data in files.items()])
    for ticket, data in zip(tickets, files.values(), strict=True):
        assert browser.post(ticket, data).status_code == 204
    eventually(lambda: all(browser.state(ticket["uploadId"])["status"] == "ready" for ticket in tickets))
    assert {browser.state(ticket["uploadId"])["mimeType"] for ticket in tickets} <= {"image/webp", "image/jpeg"}
