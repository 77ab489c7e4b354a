"""Each artifact runs alone: AWS's runtime client, an empty folder, real events, the embedded stack."""

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import psycopg
import pytest

from infra.local.gateway.configuration import Service
from infra.local.stack import Stack
from infra.local.state import TOP
from tests.bucket import Bucket
from tests.client import Answer, event
from tests.package.runtime_api import Environment, FunctionError
from tests.people import User
from tests.receivers import receiving
from tests.sentry import Tracker
from tests.storyboards import png, storyboard

EVENTS = Path(__file__).parents[1] / "events"
FUNCTIONS = Service(TOP / "serverless.yml").functions
BUCKET = "artifacts"  # without notifications, so that only these tests call the function
SECRET = "the secret of this test"

Run = Callable[..., Environment]


def answer_of(result: Any) -> Answer:
    body = result.get("body") or ""
    raw = base64.b64decode(body) if result.get("isBase64Encoded") else body.encode()
    return Answer(result["statusCode"], result["headers"], raw)


def call(environment: Environment, method: str, path: str, user: User | None = None, **given: Any) -> Answer:
    headers = {**given.pop("headers", {}), **({"Authorization": f"Bearer {user.token}"} if user else {})}
    return answer_of(environment.invoke(event(method, path, headers=headers, **given)))


def sqs_event(queue: str, *bodies: object) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": str(uuid.uuid4()),
                "receiptHandle": "handle",
                "body": json.dumps(body),
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{queue}",
                "awsRegion": "us-east-1",
            }
            for body in bodies
        ]
    }


def own_events(function: str) -> list[Path]:
    """Return the sample events of a function, by their names."""
    return [path for path in sorted(EVENTS.glob("*.json")) if _function_of(path) == function]


def _function_of(path: Path) -> str | None:
    names = [name for name in FUNCTIONS if path.stem == name or path.stem.startswith(f"{name}_")]
    return max(names, key=len, default=None)


@pytest.mark.parametrize("function", [name for name, one in FUNCTIONS.items() if one.has_url])
def test_each_function_url_answers(run: Run, function: str) -> None:
    running = run(function)
    assert own_events(function), "no sample event to try it with"
    for method in ("GET", "POST", "DELETE"):
        answer = call(running, method, f"/api/{function}", body="{}" if method == "POST" else None)
        assert answer.status < 500, answer.body
        assert answer.headers["x-request-id"]
    for path in own_events(function):
        assert answer_of(running.invoke(json.loads(path.read_text()))).status < 500


@pytest.mark.parametrize("function", [name for name, one in FUNCTIONS.items() if one.sources])
def test_each_function_behind_a_queue_takes_batches(run: Run, function: str) -> None:
    running = run(function)
    given = sqs_event(FUNCTIONS[function].sources[0].queue, {}, {"unknown": True})
    failed = {failure["itemIdentifier"] for failure in running.invoke(given)["batchItemFailures"]}
    assert failed <= {record["messageId"] for record in given["Records"]}
    for path in own_events(function):
        running.invoke(json.loads(path.read_text()))


@pytest.mark.parametrize("function", [name for name, one in FUNCTIONS.items() if not one.sources and not one.has_url])
def test_each_other_function_takes_its_events(run: Run, function: str) -> None:
    running = run(function)
    assert own_events(function), "no sample event to try it with"
    for path in own_events(function):
        running.invoke(json.loads(path.read_text()))


def test_every_sample_event_belongs_to_a_function() -> None:
    assert [path.name for path in EVENTS.glob("*.json") if _function_of(path) is None] == []


def test_artifacts_store_a_storyboard_and_read_it_back(run: Run, alice: User, bob: User) -> None:
    body = {"imageData": base64.b64encode(png()).decode(), "frameId": 1}
    stored = call(run("upload_image"), "POST", "/api/upload_image", alice, body=json.dumps(body))
    assert stored.status == 200, stored.body
    given = storyboard(alice.subject, 1)
    given["frames"][0]["imageUrl"] = stored.json["imageUrl"]
    assert call(run("save_frames"), "POST", "/", alice, body=json.dumps(given)).status == 200
    reader = run("get_frames")
    query = {"sessionId": given["sessionId"]}
    read = call(reader, "GET", "/api/get_frames", alice, query=query)
    assert read.json["frames"][0]["imageUrl"] == stored.json["imageUrl"]
    assert httpx.get(stored.json["imageUrl"]).headers["content-type"] == "image/webp"
    assert call(reader, "GET", "/", alice, query=query, headers={"If-None-Match": read.headers["etag"]}).status == 304
    assert call(reader, "GET", "/", bob, query=query).code == "session_not_found"


def test_sample_events_store_a_storyboard_and_read_it_back(run: Run) -> None:
    for name in ("upload_image", "save_frames", "get_frames"):
        given = json.loads((EVENTS / f"{name}.json").read_text())
        answer = answer_of(run(name, GUEST_ACCESS="on").invoke(given))
        assert answer.status == 200, answer.body


@pytest.fixture
def ingest(stack: Stack) -> Iterator[Any]:
    s3 = boto3.client("s3", endpoint_url=stack.info["awsEndpointUrl"])
    s3.create_bucket(Bucket=BUCKET)
    yield s3


def test_artifacts_take_a_direct_upload(run: Run, alice: User, ingest: Any) -> None:
    tickets, arrivals = run("create_upload", INGEST_BUCKET=BUCKET), run("on_upload", INGEST_BUCKET=BUCKET)
    data = png(300, 200)
    wanted = {"files": [{"frameId": 1, "kind": "frame", "contentType": "image/png", "bytes": len(data)}]}
    [ticket] = call(tickets, "POST", "/", alice, body=json.dumps(wanted)).json["uploads"]
    ingest.put_object(Bucket=BUCKET, Key=ticket["fields"]["key"], Body=data)
    told = {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Post",
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": ticket["fields"]["key"], "size": len(data)}},
            }
        ]
    }
    assert arrivals.invoke(sqs_event("videomaker-ingest", told)) == {"batchItemFailures": []}
    state = call(tickets, "GET", "/api/create_upload", alice, query={"uploadId": ticket["uploadId"]}).json
    assert (state["status"], state["width"], state["height"]) == ("ready", 300, 200)
    assert ingest.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_the_artifact_behind_the_webhook_optimises_a_file(
    stack: Stack, run: Run, alice: User, database: psycopg.Connection[Any]
) -> None:
    targets = database.execute("delete from private.webhook_targets returning name, url, secret").fetchall()
    try:
        bucket = Bucket(stack, alice, database)
        record = bucket.row(name := bucket.put("frames/frame_1.png", png(500, 300)))
        body = {"type": "INSERT", "table": "objects", "schema": "storage", "record": record, "old_record": None}
        headers = {"x-webhook-secret": SECRET}
        running = run("storage_webhook", STORAGE_WEBHOOK_SECRET=SECRET)
        answer = call(running, "POST", "/", headers=headers, body=json.dumps(body))
        assert (answer.status, answer.json["outcome"]) == (200, "optimised"), answer.body
        assert bucket.get(name).content[8:12] == b"WEBP"
    finally:
        for target in targets:
            database.execute("insert into private.webhook_targets (name, url, secret) values (%s, %s, %s)", target)


@pytest.mark.parametrize("function", ["get_frames", "render_clip"])
def test_an_artifact_tells_the_tracker_of_a_failure(run: Run, function: str) -> None:
    """Sentry's client works without what is left out of it."""
    with receiving(answer_body=b"{}") as receiver:
        tracker = Tracker(receiver)
        running = run(function, SENTRY_DSN=tracker.dsn, SUPABASE_URL="", SUPABASE_SERVICE_KEY="")
        if function == "get_frames":
            assert call(running, "GET", "/", query={"sessionId": "x"}).code == "not_configured"
        else:
            running.invoke(sqs_event("videomaker-render", {"clipId": 1}))
        [told] = tracker.events
    assert (told["tags"]["function"], told["tags"]["code"]) == (function, "not_configured")


def test_a_module_that_is_missing_from_an_artifact_is_noticed(run: Run, start: Run, tmp_path: Path) -> None:
    running = start("get_frames", {})
    hidden = running.task_root / "pydantic_core"
    away = hidden.rename(tmp_path / "away")
    try:
        with running, pytest.raises(FunctionError, match="pydantic_core"):
            running.invoke({})
    finally:
        away.rename(hidden)
