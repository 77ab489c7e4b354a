"""jobs: what is sent arrives, in batches and in a request's name; what failed comes again soon."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from shared.errors import AppError
from shared.jobs import Message, TryAgainError, consume, send
from shared.observability import begin, request_id
from shared.settings import settings
from shared.upstream import http
from tests.client import JsonObject
from tests.videos import Queues, record


@pytest.fixture
def queues(function_environment: pytest.MonkeyPatch) -> Queues:
    found = Queues.made()
    function_environment.setenv("RENDER_QUEUE_URL", found.urls["render"])
    settings.cache_clear()
    begin("request-1", 30)
    return found


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Change what SQS answers: each entry takes the place of one answer, or changes it."""
    planned: list[Any] = []
    post = http.post

    def answered(url: str, **more: Any) -> httpx.Response:
        change: Callable[[Callable[[], httpx.Response], JsonObject], httpx.Response] | None
        change = planned.pop(0) if planned else None
        body = json.loads(more["content"])
        return change(lambda: post(url, **more), body) if change else post(url, **more)

    monkeypatch.setattr(http, "post", answered)
    yield planned
    assert not planned, "fewer calls were made"


def respond(status: int, body: object) -> httpx.Response:
    return httpx.Response(status, json=body, request=httpx.Request("POST", "http://sqs/"))


def numbers(queues: Queues) -> list[int]:
    return sorted(json.loads(one["body"])["n"] for one in queues.take("render"))


@pytest.mark.parametrize("count", [0, 1, 10, 11, 25])
def test_any_number_of_messages_arrives(queues: Queues, count: int) -> None:
    send("render", [{"n": n} for n in range(count)])
    assert numbers(queues) == list(range(count))


def test_a_message_says_which_request_it_is_of(queues: Queues) -> None:
    send("render", [{"n": 1}])
    [message] = queues.take("render")
    seen = []

    def handle(given: Message) -> None:
        seen.append((given.body, request_id(), given.is_dead))

    begin("of-the-worker", 30)
    assert consume({"Records": [message]}, handle) == {"batchItemFailures": []}
    assert seen == [({"n": 1}, "request-1", False)]


def test_what_was_refused_alone_is_sent_again(queues: Queues, answers: list[Any]) -> None:
    def refuse_two(call: Callable[[], httpx.Response], body: JsonObject) -> httpx.Response:
        refused = {
            "Failed": [{"Id": one["Id"], "Code": "InternalError", "SenderFault": False} for one in body["Entries"][:2]]
        }
        return respond(200, refused)

    def taken(call: Callable[[], httpx.Response], body: JsonObject) -> httpx.Response:
        assert [one["Id"] for one in body["Entries"]] == ["0", "1"]
        return call()

    answers += [refuse_two, taken]
    send("render", [{"n": n} for n in range(5)])
    assert numbers(queues) == [0, 1]


def test_an_outage_is_passed_over(queues: Queues, answers: list[Any]) -> None:
    def lost(call: Callable[[], httpx.Response], body: JsonObject) -> httpx.Response:
        raise httpx.ConnectError("away")

    answers += [lost, lambda call, body: respond(503, {"__type": "ServiceUnavailable"})]
    send("render", [{"n": 1}])
    assert numbers(queues) == [1]


def test_what_stays_away_is_told(queues: Queues, answers: list[Any]) -> None:
    answers += [lambda call, body: respond(500, {})] * 3
    with pytest.raises(AppError) as refused:
        send("render", [{"n": 1}])
    assert refused.value.code == "queue_unavailable"


def test_a_queue_without_address_is_named(function_environment: pytest.MonkeyPatch) -> None:
    function_environment.setenv("MERGE_QUEUE_URL", "")
    settings.cache_clear()
    with pytest.raises(AppError) as refused:
        send("merge", [{"n": 1}])
    assert (refused.value.code, "MERGE_QUEUE_URL" in refused.value.detail) == ("not_configured", True)


@pytest.mark.parametrize("error", [TryAgainError(), AppError("storage_unavailable"), RuntimeError("a bug")])
def test_what_failed_comes_again_after_seconds_instead_of_an_hour(queues: Queues, error: Exception) -> None:
    sqs, url = queues.sqs, queues.urls["render"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "3600"})
    send("render", [{"n": 1}])
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    name = url.rpartition("/")[2]
    delivered = {
        **record({"n": 1}, "render", message["MessageId"]),
        "receiptHandle": message["ReceiptHandle"],
        "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{name}",
    }

    def fail(_: Message) -> None:
        raise error

    failed = consume({"Records": [delivered]}, fail)
    assert failed == {"batchItemFailures": [{"itemIdentifier": message["MessageId"]}]}
    again = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages", [])
    assert [one["MessageId"] for one in again] == [message["MessageId"]]


def test_a_receipt_that_is_none_any_more_is_no_failure_of_its_own(queues: Queues) -> None:
    stale = {**record({}, "render"), "receiptHandle": "no-such-receipt"}

    def fail(_: Message) -> None:
        raise TryAgainError

    assert len(consume({"Records": [stale]}, fail)["batchItemFailures"]) == 1
