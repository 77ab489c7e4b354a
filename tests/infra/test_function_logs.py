"""Every failure is found by its request's id in what the functions and the gateway have logged, across queues."""

import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from infra.local.__main__ import main
from infra.local.logs import about, lines_of, readable
from infra.local.stack import Stack
from tests.functions.test_direct_uploads import kill_environments
from tests.infra.gateway_functions import make_task_root, running_gateway
from tests.infra.running import until
from tests.people import User
from tests.sharing import Studio
from tests.storyboards import storyboard
from tests.videos import SMALL, stored_storyboard

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def request_id() -> str:
    return f"searched-{uuid.uuid4().hex}"


def api(stack: Stack, user: User, request_id: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {user.token}", "X-Request-Id": request_id}
    return httpx.Client(base_url=stack.info["apiUrl"], headers=headers, timeout=60)


def start(stack: Stack, user: User, request_id: str) -> str:
    session = stored_storyboard(user, 1, 1)["sessionId"]
    with api(stack, user, request_id) as client:
        answer = client.post("/api/generate_video", json={**SMALL, "sessionId": session})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["videoId"])


def status(database: Database, video_id: str) -> str:
    row = database.execute("select status from public.final_videos where video_id = %s", (video_id,)).fetchone()
    assert row
    return str(row[0])


def test_a_refusal_is_found_by_the_id_of_its_answer(stack: Stack, alice: User) -> None:
    answer = httpx.get(
        f"{stack.info['apiUrl']}/api/get_video",
        params={"videoId": str(uuid.uuid4())},
        headers={"Authorization": f"Bearer {alice.token}"},
    )
    lines = lines_of(stack.folder, answer.json()["requestId"])
    assert [line["code"] for line in lines if line["event"] == "refused"] == ["video_not_found"]
    [measured] = [line for line in lines if line["event"] == "invocation"]
    assert (measured["function"], measured["status"], measured["Refused"]) == ("get_video", 404, 1)
    assert any(line["event"] == "output" and "GET /api/get_video 404" in line["text"] for line in lines)


def test_what_failed_in_a_worker_is_found_by_the_id_of_the_request(
    stack: Stack, alice: User, studio: Studio, database: Database, request_id: str
) -> None:
    given = storyboard(alice.subject, 1, videoDuration=1)
    path = given["frames"][0]["imageUrl"].rpartition("/videomaker/")[2]
    studio.put(path, b"RIFF, and no image", "image/webp")
    assert alice.save(given).status == 200
    with api(stack, alice, request_id) as client:
        answer = client.post("/api/generate_video", json={**SMALL, "sessionId": given["sessionId"]})
    assert answer.status_code == 202, answer.text
    video_id = answer.json()["videoId"]
    until(lambda: status(database, video_id) == "failed", 120)

    def found() -> list[str]:
        lines = lines_of(stack.folder, request_id)
        return [line["code"] for line in lines if line["event"] == "clip_settled"]

    until(lambda: found() == ["frame_unreadable"], 60)
    functions = {line["function"] for line in lines_of(stack.folder, request_id)}
    assert {"generate_video", "render_clip"} <= functions


def test_a_worker_that_was_killed_is_found_by_the_id_of_the_request(
    stack: Stack, alice: User, database: Database, request_id: str
) -> None:
    video_id = start(stack, alice, request_id)

    def killed() -> bool:
        if status(database, video_id) in ("queued", "rendering", "merging"):
            kill_environments(stack)
        texts = [line.get("text", "") for line in lines_of(stack.folder, request_id)]
        return any("ended before it answered" in text for text in texts)

    until(killed, 120)
    until(lambda: status(database, video_id) == "completed", 120)
    lines = lines_of(stack.folder, request_id)
    assert {line["function"] for line in lines if line["event"] == "message_received"} == {"render_clip", "merge_clips"}


def test_what_lambda_itself_says_of_a_request_is_found_too(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "functions.jsonl"
    log.parent.mkdir()
    with running_gateway(make_task_root(tmp_path), GATEWAY_LOG=str(log)) as gateway:
        answer = gateway.client.get("/api/probe/fail", headers={"X-Request-Id": "a-clients-own-id"})
        assert answer.status_code == 502
        gateway.client.get("/api/probe/say")
        lambdas = answer.headers["x-amzn-requestid"]
    for one in ("a-clients-own-id", lambdas):
        [line] = lines_of(tmp_path, one)
        assert line["text"].startswith("GET /api/probe 502")
    printed = [line for line in lines_of(tmp_path) if line["event"] == "output" and line["function"] == "probe"]
    assert "printed by the handler" in [line["text"] for line in printed]


def line(event: str, **more: object) -> dict[str, Any]:
    return {"time": "2026-11-28T16:00:00.000+00:00", "level": "INFO", "event": event, "function": "f", **more}


def test_lines_of_the_same_invocation_belong_together_and_others_do_not() -> None:
    lines = [
        line("refused", requestId="request-a"),
        line("invocation", requestId="request-a", invocationId="lambda-1"),
        line("message_received", requestId="request-a", invocationId="lambda-2"),
        line("output", requestId=None, invocationId="lambda-2", text="timed out"),
        line("invocation", requestId="request-b", invocationId="lambda-3"),
        line("refused", requestId="request-b"),
    ]
    assert about(lines, "request-a") == lines[:4]
    assert about(lines, "lambda-2") == lines[:4]
    assert about(lines, "request-b") == lines[4:]
    assert about(lines, "request-c") == []


def test_a_line_is_readable() -> None:
    shown = readable(line("refused", code="not_found", status=404, requestId="request-a", error=None))
    assert shown == "2026-11-28T16:00:00.000+00:00 INFO f refused code=not_found status=404"


def test_the_command_shows_one_request_or_only_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STATE", str(tmp_path))
    assert main(["logs"]) == 1
    assert "No stack has run" in capsys.readouterr().err
    (tmp_path / "logs").mkdir()
    lines = [line("refused", requestId="request-a", code="x"), line("message_failed", requestId="request-b")]
    lines[1]["level"] = "ERROR"
    text = "".join(json.dumps(one) + "\n" for one in lines)
    (tmp_path / "logs" / "functions.jsonl").write_text(text + '{"event": "half')
    assert main(["logs", "--request-id", "request-a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == lines[0]
    assert main(["logs", "--errors"]) == 0
    assert capsys.readouterr().out.split()[3:] == ["message_failed"]
    assert main(["logs", "--request-id", "nobody"]) == 1
