"""One queue over the SQS API, for a process that must not wait for it."""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from infra.local.gateway.context import region

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

POLL_SECONDS = 1  # a stopping gateway waits for the poll that is under way

QueueError = (BotoCoreError, ClientError, ResponseParserError)
Result = TypeVar("Result")


class QueueClient:
    """The queue of this name, looked up at the first call and after each error. Every method may raise QueueError."""

    def __init__(self, name: str, threads: int) -> None:
        self.arn = ""  # known once something has been received
        self._name = name
        self._url = ""
        self._client: SQSClient | None = None
        self._threads = ThreadPoolExecutor(threads, f"queue-{name}")

    async def receive(self, count: int, hidden_seconds: int) -> "list[MessageTypeDef]":
        """Up to `count` messages, at most 10, which nobody else gets for this time; none where none came in a while."""
        return await self._in_thread(partial(self._receive, min(count, 10), hidden_seconds))

    async def hide(self, messages: "Collection[MessageTypeDef]", seconds: int) -> None:
        """Keeps received messages back for this time from now; 0 gives them back."""
        if messages:
            await self._in_thread(partial(self._hide, messages, seconds))

    async def delete(self, messages: "Collection[MessageTypeDef]") -> None:
        """Takes received messages off the queue."""
        if messages:
            await self._in_thread(partial(self._delete, messages))

    def close(self) -> None:
        """Ends the threads; no call may follow."""
        self._threads.shutdown(wait=False)

    async def _in_thread(self, call: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except QueueError:
            self._url = ""
            raise

    def _receive(self, count: int, hidden_seconds: int) -> "list[MessageTypeDef]":
        sqs, url = self._connected()
        response = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=count,
            WaitTimeSeconds=POLL_SECONDS,
            VisibilityTimeout=hidden_seconds,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return response.get("Messages", [])

    def _hide(self, messages: "Collection[MessageTypeDef]", seconds: int) -> None:
        sqs, url = self._connected()
        sqs.change_message_visibility_batch(
            QueueUrl=url,
            Entries=[
                {"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": seconds}
                for message in messages
            ],
        )

    def _delete(self, messages: "Collection[MessageTypeDef]") -> None:
        sqs, url = self._connected()
        sqs.delete_message_batch(
            QueueUrl=url,
            Entries=[{"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]} for message in messages],
        )

    def _connected(self) -> "tuple[SQSClient, str]":
        if self._client is None:
            once = Config(connect_timeout=2, read_timeout=POLL_SECONDS + 4, retries={"total_max_attempts": 1})
            self._client = Session().client("sqs", region_name=region(), config=once)
        if not self._url:
            self._url = self._client.get_queue_url(QueueName=self._name)["QueueUrl"]
            account = self._url.rstrip("/").split("/")[-2]
            self.arn = f"arn:aws:sqs:{region()}:{account}:{self._name}"
        return self._client, self._url
