"""One request id, from the client to all that it leads to, in the logs; and one trace."""

import json
import uuid
from typing import Any

import psycopg
import pytest

from functions.maintenance.handler import handler as maintenance
from infra.local.stack import Stack
from shared.observability import REQUEST_ID_HEADER
from shared.settings import settings
from tests.bucket import Bucket
from tests.client import Answer, Context, run_handler
from tests.faults import FaultyUpstream
from tests.functions.test_create_upload import ask, file
from tests.functions.test_on_upload import Ingest, ingest, run, s3_event, sqs_event
from tests.functions.test_storage_webhook import SECRET, told_of
from tests.functions.test_storage_webhook import deliver as call_storage_webhook
from tests.logs import Lines
from tests.people import User
from tests.receivers import receiving
from tests.storyboards import png
from tests.videos import SMALL, Queues, stored_storyboard
from tests.webhooks import Queue, deliver, outbox

Database = psycopg.Connection[Any]

__all__ = ["ingest"]  # a fixture
XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


@pytest.fixture
def request_id() -> str:
    return f"followed-{uuid.uuid4().hex}"


def start(user: User, session_id: str, request_id: str, **more: object) -> Answer:
    body = {**SMALL, "sessionId": session_id, **more}
    answer = user.post("generate_video", body, X_Request_Id=request_id)
    assert answer.status == 202, answer.text
    return answer


def deliver_all(database: Database, user: User) -> None:
    """Deliver what the user is to be told, by messages that say nothing of whose they are."""
    for row in outbox(database, user):
        assert deliver(row["delivery_id"], row["attempts"])


def test_a_videos_id_goes_through_every_worker_to_the_webhook(  # noqa: PLR0917
    alice: User, queues: Queues, queue: Queue, database: Database, logged: Lines, request_id: str
) -> None:
    session = stored_storyboard(alice, 2, 2)
    with receiving() as receiver:
        start(alice, session["sessionId"], request_id, webhookUrl=receiver.url)
        queues.work()
        deliver_all(database, alice)
        assert len(receiver.received) == 1
    assert logged.functions_of(request_id) == [
        "generate_video",
        "render_clip",
        "render_clip",
        "merge_clips",
        "deliver_webhook",
    ]
    events = {one["event"] for one in logged.records if one["requestId"] == request_id}
    assert {"message_received", "clip_settled", "merge_settled", "delivery_attempted"} <= events


def test_a_message_that_was_lost_and_sent_again_keeps_the_id_of_who_asked(  # noqa: PLR0917
    alice: User, queues: Queues, queue: Queue, database: Database, logged: Lines, request_id: str
) -> None:
    session = stored_storyboard(alice, 1, 1)
    video_id = start(alice, session["sessionId"], request_id).json["videoId"]
    assert len(queues.take("render")) == 1
    database.execute("alter table public.video_clips disable trigger user")
    database.execute("alter table public.final_videos disable trigger user")
    for table, name in (
        ("video_clips", "final_video_id = (select id from public.final_videos where video_id = %s)"),
        ("final_videos", "video_id = %s"),
    ):
        database.execute(f"update public.{table} set updated_at = now() - interval '1 hour' where {name}", (video_id,))
    database.execute("alter table public.video_clips enable trigger user")
    database.execute("alter table public.final_videos enable trigger user")
    context = Context(seconds=300)
    assert run_handler(maintenance, {"only": "messages"}, context)["lostRenderings"] >= 1
    queues.work()
    assert logged.functions_of(request_id) == ["generate_video", "render_clip", "merge_clips"]
    assert "maintenance" in logged.functions_of(context.aws_request_id)


def test_a_batchs_later_videos_keep_its_id_whoever_begins_them(
    alice: User, queues: Queues, queue: Queue, logged: Lines, request_id: str
) -> None:
    sessions = [stored_storyboard(alice, 1, 1)["sessionId"] for _ in range(2)]
    body = {"items": [{"sessionId": one, **{"video": SMALL}} for one in sessions], "parallel": 1, "maxCost": 1}
    answer = alice.send("POST", "batch", body, headers={"X-Request-Id": request_id})
    assert answer.status == 202, answer.text
    first = queues.take("render")
    assert len(first) == 1
    first[0]["messageAttributes"]["requestId"]["stringValue"] = "of-the-sweep-1"
    assert queues.deliver("render", first[0])
    queues.work()
    assert logged.functions_of(request_id) == ["batch", *["render_clip", "merge_clips"] * 2]


@pytest.mark.parametrize("wrap", [s3_event, lambda one: sqs_event(s3_event(one))])
def test_an_uploads_id_goes_from_its_ticket_to_what_verifies_it(
    alice: User, ingest: Ingest, logged: Lines, request_id: str, wrap: Any
) -> None:
    ticket = ask(alice, file(bytes=1_000_000), X_Request_Id=request_id).json["uploads"][0]
    ingest.put(ticket["uploadId"], png())
    run(wrap(ticket["uploadId"]))
    assert logged.functions_of(request_id) == ["create_upload", "on_upload"]
    assert [one["requestId"] for one in logged.named("upload_settled")] == [request_id]


def test_a_refused_uploads_id_goes_on_to_the_webhook(  # noqa: PLR0917
    alice: User, ingest: Ingest, queue: Queue, database: Database, logged: Lines, request_id: str
) -> None:
    with receiving() as receiver:
        assert alice.post("webhooks", {"url": receiver.url, "events": ["upload.rejected"]}).status == 200
        ticket = ask(alice, file(bytes=1_000_000), X_Request_Id=request_id).json["uploads"][0]
        ingest.put(ticket["uploadId"], b"no image")
        run(sqs_event(s3_event(ticket["uploadId"])))
        deliver_all(database, alice)
        assert len(receiver.received) == 1
    assert logged.functions_of(request_id) == ["create_upload", "on_upload", "deliver_webhook"]


def test_what_storage_tells_of_has_an_id_that_goes_on(  # noqa: PLR0917
    stack: Stack,
    alice: User,
    queue: Queue,
    database: Database,
    logged: Lines,
    function_environment: pytest.MonkeyPatch,
    request_id: str,
) -> None:
    function_environment.setenv("STORAGE_WEBHOOK_SECRET", SECRET)
    settings.cache_clear()
    targets = database.execute("delete from private.webhook_targets returning name, url, secret").fetchall()
    bucket = Bucket(stack, alice, database)
    with receiving() as receiver:
        assert alice.post("webhooks", {"url": receiver.url, "events": ["upload.rejected"]}).status == 200
        name = bucket.put("frames/photo.png", b"no image", "image/png")
        answer = call_storage_webhook(told_of(bucket.row(name)), X_Request_Id=request_id)
        assert answer.json["outcome"] == "rejected"
        deliver_all(database, alice)
        assert len(receiver.received) == 1
    for target in targets:
        database.execute("insert into private.webhook_targets (name, url, secret) values (%s, %s, %s)", target)
    assert logged.functions_of(request_id) == ["storage_webhook", "deliver_webhook"]


def test_a_failed_videos_id_leads_to_the_line_that_says_why(  # noqa: PLR0917
    alice: User, queues: Queues, queue: Queue, database: Database, logged: Lines, request_id: str
) -> None:
    session = stored_storyboard(alice, 1, 1)
    start(alice, session["sessionId"], request_id)
    with database.transaction():
        database.execute("set local storage.allow_delete_query = 'true'")
        database.execute("delete from storage.objects where name like %s", (f"{alice.subject}/frames/%",))
    queues.work()
    [line] = [one for one in logged.named("clip_settled") if one["requestId"] == request_id]
    assert (line["status"], line["code"]) == ("failed", "frame_image_missing")


def test_a_caller_cannot_write_whose_work_a_row_is(alice: User, database: Database) -> None:
    ticket = ask(alice, file(), X_Request_Id="the-right-one").json["uploads"][0]
    found = database.execute("select request_id from public.uploads where id = %s", (ticket["uploadId"],)).fetchone()
    assert found == ("the-right-one",)
    with database.transaction(force_rollback=True):
        for header, kept in [
            ("x" * 129, None),
            ("short", None),
            ("a b c d e f g", None),
            ("plain-enough", "plain-enough"),
        ]:
            headers = json.dumps({REQUEST_ID_HEADER: header})
            database.execute("select set_config('request.headers', %s, true)", (headers,))
            row = database.execute(
                "insert into public.uploads (user_id, kind, content_type, bytes, request_id)"
                " values ('u', 'frame', 'image/png', 1, 'forged-id') returning request_id"
            ).fetchone()
            assert row == (kept,)


def test_a_trace_goes_from_the_request_to_its_workers(  # noqa: PLR0917
    alice: User, queues: Queues, queue: Queue, logged: Lines, request_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = stored_storyboard(alice, 1, 1)
    monkeypatch.setenv("_X_AMZN_TRACE_ID", XRAY)
    start(alice, session["sessionId"], request_id)
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-00000001-000000000000000000000001")
    [message] = queues.take("render")
    assert message["attributes"]["AWSTraceHeader"] == XRAY
    assert queues.deliver("render", message)
    queues.work()
    traces = {one["function"]: one["traceId"] for one in logged.named("invocation") if one["requestId"] == request_id}
    assert traces == dict.fromkeys(("generate_video", "render_clip", "merge_clips"), XRAY[5:40])


def test_a_message_without_a_trace_is_part_of_its_workers_own(  # noqa: PLR0917
    alice: User, queues: Queues, queue: Queue, logged: Lines, request_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = stored_storyboard(alice, 1, 1)
    start(alice, session["sessionId"], request_id)
    [message] = queues.take("render")
    assert "AWSTraceHeader" not in message["attributes"]
    monkeypatch.setenv("_X_AMZN_TRACE_ID", XRAY)
    assert queues.deliver("render", message)
    assert logged.named("invocation")[-1]["traceId"] == XRAY[5:40]


def test_a_trace_is_logged_and_told_to_supabase(
    alice: User, logged: Lines, upstream: FaultyUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-00000001-000000000000000000000001")
    parent = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
    for headers, trace in [({}, "00000001000000000000000000000001"), ({"traceparent": parent}, parent[3:35])]:
        answer = alice.read("missing", headers=headers)
        seen = upstream.headers[-1]
        assert seen["traceparent"].split("-")[1] == trace
        assert seen["x-amzn-trace-id"].startswith(f"Root=1-{trace[:8]}-{trace[8:]}")
        assert seen["x-videomaker-request-id"] == answer.headers["x-request-id"]
        assert logged.records[-1]["traceId"] == f"1-{trace[:8]}-{trace[8:]}"
