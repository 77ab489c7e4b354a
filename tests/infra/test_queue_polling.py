"""What a poller does with messages while a function works on them, against a queue that only notes what it is told."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infra.local.gateway import event_sources
from infra.local.gateway.configuration import Service
from infra.local.gateway.event_sources import HOLD_SECONDS, Poller
from infra.local.gateway.queues import EventSource

MESSAGE = {"MessageId": "m", "ReceiptHandle": "r", "Body": "{}", "MD5OfBody": "", "Attributes": {}}


class NotedQueue:
    """One message, then none; `hidden` has the seconds of each call that kept it back, `again` comes at the third."""

    arn = "arn:aws:sqs:us-east-1:000000000000:jobs"

    def __init__(self, _name: str, threads: int) -> None:
        self.messages: list[dict[str, Any]] = [MESSAGE]
        self.hidden: list[int] = []
        self.deleted: list[str] = []
        self.again = asyncio.Event()
        self.empty = asyncio.Event()

    async def receive(self, _count: int, _hidden_seconds: int) -> list[dict[str, Any]]:
        await asyncio.sleep(0.001)
        return [self.messages.pop()] if self.messages else []

    async def hide(self, messages: list[dict[str, Any]], seconds: int) -> None:
        self.hidden += [seconds] * len(messages)
        if len(self.hidden) == 3:
            self.again.set()

    async def delete(self, messages: list[dict[str, Any]]) -> None:
        self.deleted += [message["MessageId"] for message in messages]
        self.empty.set()

    def close(self) -> None:
        """Nothing to end."""


def test_messages_are_kept_back_as_long_as_a_function_works_on_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(event_sources, "HOLD_AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(event_sources, "QueueClient", NotedQueue)
    (tmp_path / "serverless.yml").write_text("functions: {f: {handler: a.b.c}}")

    async def work() -> NotedQueue:
        finished = asyncio.Event()

        class Environments:
            async def invoke(self, *_arguments: object) -> bytes:
                await finished.wait()
                return b"null"

        service = Service(tmp_path / "serverless.yml")
        poller = Poller("f", EventSource("jobs"), service, Environments())  # type: ignore[arg-type]
        queue: NotedQueue = poller._queue  # type: ignore[assignment]
        async with asyncio.timeout(30):
            await queue.again.wait()
            assert not queue.deleted
            finished.set()
            await queue.empty.wait()
            await poller.close()
        return queue

    # In a thread: `asyncio.run` takes away the event loop that Mangum's handlers use in this one.
    with ThreadPoolExecutor(1) as thread:
        queue = thread.submit(asyncio.run, work()).result()
    assert set(queue.hidden) == {HOLD_SECONDS}
    assert queue.deleted == ["m"]
