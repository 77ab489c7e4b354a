"""Invokes functions for the messages of queues, as Lambda's event source mappings do."""

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from infra.local.gateway.configuration import Function, Service
from infra.local.gateway.environment import Invocation
from infra.local.gateway.environments import Environments
from infra.local.gateway.errors import FunctionFailedError, GatewayError
from infra.local.gateway.events import serialise
from infra.local.gateway.logs import log
from infra.local.gateway.queue_client import QueueClient, QueueError
from infra.local.gateway.queues import DEFAULT_CONCURRENCY, EventSource
from infra.local.gateway.sqs_events import failed_messages, to_event

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

HOLD_SECONDS = 30  # messages that are being worked on come back this long after the gateway was killed
HOLD_AGAIN_SECONDS = 10
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1, 60  # doubled with each try; AWS waits for the queue's visibility timeout
OUTAGE_SECONDS = 1  # between two attempts to reach a queue
FINISH_SECONDS = 2  # for batches that are under way when the gateway stops

Messages = Sequence["MessageTypeDef"]


class EventSources:
    """One poller for each queue that a function is invoked for when they start.

    Without AWS_ENDPOINT_URL there are none: queues of a real account are never read.
    """

    def __init__(self, service: Service, environments: Environments) -> None:
        self._service = service
        self._environments = environments
        self._pollers: list[Poller] = []

    def start(self) -> None:
        """Begin to poll."""
        if not os.environ.get("AWS_ENDPOINT_URL"):
            return
        for function in self._service.functions.values():
            for source in function.sources:
                self._pollers.append(Poller(function.name, source, self._service, self._environments))

    async def close(self) -> None:
        """Receive no more; what is under way has a moment to finish, and is given back otherwise."""
        await asyncio.gather(*(poller.close() for poller in self._pollers))


class Poller:
    """Receives the messages of one queue for one function, from now until it is closed.

    So many batches at a time as are deployed, but no more than this machine has cores, or two.
    """

    def __init__(self, function_name: str, source: EventSource, service: Service, environments: Environments) -> None:
        self._function_name = function_name
        self._source = source
        self._service = service
        self._environments = environments
        at_once = min(source.concurrency, max(DEFAULT_CONCURRENCY, os.cpu_count() or 1))
        self._queue = QueueClient(source.queue, threads=at_once + 2)
        self._free = asyncio.Semaphore(at_once)
        self._batches: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self._is_reachable = True
        self._polling = asyncio.create_task(self._poll())

    async def close(self) -> None:
        """Receive no more, and leave no message behind that nobody works on."""
        self._closing.set()
        self._free.release()  # for a poll that waits for its turn
        await self._polling
        if self._batches:
            _, unfinished = await asyncio.wait(self._batches, timeout=FINISH_SECONDS)
            for batch in unfinished:
                batch.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        self._queue.close()

    async def _poll(self) -> None:
        while not self._closing.is_set():
            await self._free.acquire()
            messages = await self._receive()
            if not messages:
                self._free.release()
                continue
            batch = asyncio.create_task(self._process(messages))
            self._batches.add(batch)
            batch.add_done_callback(self._done)

    def _done(self, batch: asyncio.Task[None]) -> None:
        self._batches.discard(batch)
        self._free.release()

    async def _receive(self) -> Messages:
        """The next messages; none where none came, the queue cannot be reached or the gateway stops."""
        if self._closing.is_set():
            return []
        try:
            messages = await self._queue.receive(self._source.batch_size, HOLD_SECONDS)
        except QueueError as error:
            if self._is_reachable:
                self._log(f"waits for the queue: {error}")
            self._is_reachable = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), OUTAGE_SECONDS)
            return []
        self._is_reachable = True
        if self._closing.is_set():
            await self._give_back(messages, 0)
            return []
        return messages

    async def _process(self, messages: Messages) -> None:
        started = time.perf_counter()
        holding = asyncio.create_task(self._hold(messages))
        invocation_id = str(uuid4())
        try:
            failed, problem = await self._invoke(messages, invocation_id)
        except asyncio.CancelledError:
            await self._give_back(messages, 0)
            return
        finally:
            holding.cancel()
        await self._settle(messages, failed)
        milliseconds = (time.perf_counter() - started) * 1000
        line = f"{len(messages)} messages, {len(failed)} failed, {milliseconds:.0f} ms {problem}".rstrip()
        for sender in sorted({_sender(message) or invocation_id for message in messages}):
            self._log(line, requestId=sender, invocationId=invocation_id)

    async def _invoke(self, messages: Messages, request_id: str) -> tuple[set[str], str]:
        """The ids of the messages that come again, and what went wrong with the whole batch, for the log."""
        ids = {message["MessageId"] for message in messages}
        trace_id = f"Root=1-{int(time.time()):08x}-{request_id.replace('-', '')[:24]}"
        try:
            event = serialise(to_event(messages, self._queue.arn))
            result = await self._environments.invoke(self._function(), Invocation(event, request_id, trace_id))
        except GatewayError as error:
            return ids, str(error) or error.error_type
        except Exception as error:  # such as a serverless.yml that is only half written
            return ids, repr(error)
        return failed_messages(result, ids, partial=self._source.partial_failures), ""

    def _function(self) -> Function:
        function = self._service.functions.get(self._function_name)
        if function is None:
            raise FunctionFailedError("there is no such function any more")
        return function

    async def _hold(self, messages: Messages) -> None:
        """Keeps messages from coming again while they are worked on."""
        while True:
            await asyncio.sleep(HOLD_AGAIN_SECONDS)
            await self._give_back(messages, HOLD_SECONDS)

    async def _settle(self, messages: Messages, failed: set[str]) -> None:
        with contextlib.suppress(*QueueError):  # they come again then, as they may at any time
            await self._queue.delete([message for message in messages if message["MessageId"] not in failed])
        for message in messages:
            if message["MessageId"] in failed:
                await self._give_back([message], _retry_seconds(message))

    async def _give_back(self, messages: Messages, seconds: int) -> None:
        with contextlib.suppress(*QueueError):
            await self._queue.hide(messages, seconds)

    def _log(self, line: str, **ids: str | None) -> None:
        log(self._function_name, f"{self._source.queue} {line}", **ids)


def _sender(message: "MessageTypeDef") -> str | None:
    """The id of the request that a message is of, where it says so."""
    attribute = message.get("MessageAttributes", {}).get("requestId")
    return attribute.get("StringValue") if attribute else None


def _retry_seconds(message: "MessageTypeDef") -> int:
    tries = int(message["Attributes"]["ApproximateReceiveCount"])
    return min(FIRST_RETRY_SECONDS << min(tries - 1, 10), LAST_RETRY_SECONDS)
