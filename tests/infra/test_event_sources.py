"""Functions are invoked for the messages of their queues: batches, failures, retries, limits, outages, shutdown."""

import hashlib
import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

import pytest

from infra.local.gateway.configuration import parse
from infra.local.gateway.document import load
from infra.local.gateway.queues import EventSource, Queue, deployed_queues
from infra.local.gateway.sqs_events import failed_messages
from tests.infra.gateway_functions import make_task_root, running_gateway
from tests.infra.running import until
from tests.infra.running_aws import RunningAws, free_port, running_aws

RESOURCES = """
resources:
  Resources:
    Jobs:
      Type: AWS::SQS::Queue
      Properties:
        QueueName: jobs-${sls:stage}
        VisibilityTimeout: 600
        RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadJobs.Arn, maxReceiveCount: 2}
    DeadJobs: {Type: AWS::SQS::Queue, Properties: {QueueName: "jobs-${sls:stage}-dead"}}
    Plain: {Type: AWS::SQS::Queue, Properties: {QueueName: plain}}
    Uploads:
      Type: AWS::S3::Bucket
      Properties:
        NotificationConfiguration:
          QueueConfigurations: [{Event: "s3:ObjectCreated:*", Queue: !GetAtt Plain.Arn}]
"""
FUNCTIONS = """
functions:
  consumer:
    handler: functions.consumer.handler.handler
    timeout: 2
    events:
      - sqs: {arn: !GetAtt Jobs.Arn, batchSize: 4, functionResponseType: ReportBatchItemFailures}
  undertaker:
    handler: functions.consumer.handler.handler
    events: [{sqs: {arn: "arn:aws:sqs:us-east-1:123456789012:jobs-dead"}}]
  plain:
    handler: functions.consumer.handler.handler
    timeout: 30
    url: true
    events: [{sqs: !GetAtt Plain.Arn}]
"""


@dataclass(frozen=True)
class Service:
    """A task root, S3 and SQS for its queues, and the folder where its function keeps events."""

    root: Path
    aws: RunningAws
    events: Path

    def gateway(self) -> Any:
        return running_gateway(self.root, EVENTS_FOLDER=str(self.events), **self.aws.environment)

    def queue(self, name: str) -> str:
        return self.aws.sqs().get_queue_url(QueueName=name)["QueueUrl"]

    def send(self, *bodies: dict[str, Any], queue: str = "jobs") -> list[str]:
        """The ids of messages with these bodies, sent at once."""
        entries = [{"Id": str(number), "MessageBody": json.dumps(body)} for number, body in enumerate(bodies)]
        sent = self.aws.sqs().send_message_batch(QueueUrl=self.queue(queue), Entries=entries)  # type: ignore[arg-type]
        return [entry["MessageId"] for entry in sent["Successful"]]

    def batches(self, function: str, *messages: str) -> list[list[dict[str, Any]]]:
        """The records of each event with one of these messages that the function got, in order."""
        kept = [json.loads(path.read_text()) for path in sorted(self.events.glob("*.json"))]
        batches = [one["event"].get("Records", []) for one in kept if one["function"] == function]
        return [batch for batch in batches if {record["messageId"] for record in batch} & set(messages)]

    def tries(self, function: str, message: str) -> list[int]:
        """How often the message had been received, at each invocation of the function for it."""
        return [
            int(record["attributes"]["ApproximateReceiveCount"])
            for batch in self.batches(function, message)
            for record in batch
            if record["messageId"] == message
        ]

    def is_empty(self, queue: str) -> bool:
        """Whether no message is left, be it hidden."""
        names: list[Any] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.aws.sqs().get_queue_attributes(QueueUrl=self.queue(queue), AttributeNames=names)["Attributes"]
        return all(count == "0" for count in found.values())


def make_service(root: Path) -> Path:
    make_task_root(root)
    (root / "serverless.yml").write_text("service: tests\n" + FUNCTIONS + RESOURCES)
    return root


@contextmanager
def service_in(root: Path, port: int) -> Iterator[Service]:
    events = root / "events"
    events.mkdir(exist_ok=True)
    yml = str(root / "serverless.yml")
    with running_aws(port, root / "aws.log", SERVERLESS_YML=yml) as aws:
        yield Service(root, aws, events)


@contextmanager
def temporary_service(factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service_in(make_service(factory.mktemp("service")), free_port()) as service:
        url = service.queue("plain")
        [test_event] = service.aws.sqs().receive_message(QueueUrl=url)["Messages"]  # that the bucket is connected
        service.aws.sqs().delete_message(QueueUrl=url, ReceiptHandle=test_event["ReceiptHandle"])
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """For tests that start a gateway of their own; each leaves the queues empty."""
    with temporary_service(tmp_path_factory) as running:
        yield running


@pytest.fixture(scope="module")
def consumed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One with a gateway."""
    with temporary_service(tmp_path_factory) as running, running.gateway():
        yield running


def test_a_batch_has_the_shape_that_lambda_gives_it(consumed: Service) -> None:
    body = json.dumps({"text": "ü"})
    attributes: dict[str, Any] = {
        "kind": {"DataType": "String", "StringValue": "note"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    url = consumed.queue("jobs")
    sent = consumed.aws.sqs().send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)["MessageId"]
    until(lambda: consumed.is_empty("jobs"))
    [[record]] = consumed.batches("consumer", sent)
    assert record["messageId"] == sent
    assert (record["body"], record["md5OfBody"]) == (body, hashlib.md5(body.encode()).hexdigest())
    assert (record["eventSource"], record["awsRegion"]) == ("aws:sqs", "us-east-1")
    assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:123456789012:jobs"
    assert record["receiptHandle"]
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert int(record["attributes"]["SentTimestamp"]) > 1.7e12
    no_lists: dict[str, Any] = {"stringListValues": [], "binaryListValues": []}
    assert record["messageAttributes"] == {
        "kind": {"stringValue": "note", "dataType": "String", **no_lists},
        "raw": {"binaryValue": "AP8=", "dataType": "Binary", **no_lists},
    }


def test_only_the_failed_messages_of_a_batch_come_again(consumed: Service) -> None:
    failing, fine = consumed.send({"do": "fail"}, {})
    until(lambda: consumed.is_empty("jobs"))
    assert consumed.tries("consumer", failing) == [1, 2]
    assert consumed.tries("consumer", fine) == [1]


@pytest.mark.parametrize(
    "body",
    [
        {"do": "raise"},
        {"do": "exit"},
        {"do": "hang"},
        {"do": "answer", "with": {"batchItemFailures": [{"itemIdentifier": "unknown"}]}},
        {"do": "answer", "with": {"batchItemFailures": [{"itemIdentifier": ""}]}},
    ],
)
def test_a_batch_that_fails_as_a_whole_comes_again(consumed: Service, body: dict[str, Any]) -> None:
    sent = consumed.send(body, {}, {})
    until(lambda: consumed.is_empty("jobs"))
    assert [consumed.tries("consumer", message) for message in sent] == [[1, 2]] * 3


def test_what_fails_too_often_goes_to_the_dead_letters(consumed: Service) -> None:
    [sent] = consumed.send({"do": "fail", "always": True})
    until(lambda: bool(consumed.tries("undertaker", sent)))
    until(lambda: consumed.is_empty("jobs-dead"))
    assert consumed.tries("consumer", sent) == [1, 2]
    [[record]] = consumed.batches("undertaker", sent)
    assert record["eventSourceARN"].endswith(":jobs-dead")


def test_without_partial_responses_a_batch_succeeds_unless_it_raises(consumed: Service) -> None:
    [ignored] = consumed.send({"do": "fail"}, queue="plain")
    until(lambda: consumed.is_empty("plain"))
    [raised] = consumed.send({"do": "raise"}, queue="plain")
    until(lambda: consumed.is_empty("plain"))
    assert (consumed.tries("plain", ignored), consumed.tries("plain", raised)) == ([1], [1, 2])


def test_a_queue_has_two_batches_at_once_and_no_more(consumed: Service, tmp_path: Path) -> None:
    go = tmp_path / "go"
    waiting = {"do": "wait", "until": str(go)}
    sent: list[str] = []
    for count in (1, 2):
        sent.extend(consumed.send(waiting, queue="plain"))
        until(lambda count=count: len(consumed.batches("plain", *sent)) == count)  # type: ignore[misc]
    sent.extend(consumed.send(waiting, queue="plain"))
    time.sleep(1.5)  # longer than a poll
    assert len(consumed.batches("plain", *sent)) == 2
    go.touch()
    until(lambda: consumed.is_empty("plain"))
    assert [consumed.tries("plain", message) for message in sent] == [[1], [1], [1]]


def test_a_put_into_the_bucket_reaches_the_function(consumed: Service) -> None:
    key = f"uploads/{uuid4()} ü.png"
    consumed.aws.s3().put_object(Bucket=consumed.aws.environment["INGEST_BUCKET"], Key=key, Body=b"x")
    until(lambda: any(quote_plus(key) in path.read_text() for path in consumed.events.glob("*.json")))


def test_messages_come_in_batches_up_to_the_size(service: Service) -> None:
    sent = service.send(*({"number": number} for number in range(9)))
    with service.gateway():
        until(lambda: service.is_empty("jobs"))
    batches = service.batches("consumer", *sent)
    assert sorted(record["messageId"] for batch in batches for record in batch) == sorted(sent)
    assert max(map(len, batches)) == 4


def test_a_function_without_a_url_has_none_for_its_messages_either(service: Service) -> None:
    with service.gateway() as gateway:
        assert gateway.client.get("/api/consumer").status_code == 404
        assert gateway.client.get("/api/plain").status_code == 502  # it has been invoked: a request has no records


def test_polling_goes_on_after_an_outage(tmp_path: Path) -> None:
    root, port = make_service(tmp_path), free_port()
    with ExitStack() as stack:
        with service_in(root, port) as before:
            gateway = stack.enter_context(before.gateway())
            first = before.send({})
            until(lambda: before.tries("consumer", first[0]) == [1])
        until(lambda: "waits for the queue" in gateway.log)
        with service_in(root, port) as after:
            second = after.send({})
            until(lambda: after.tries("consumer", second[0]) == [1])
            assert "Traceback" not in gateway.log
            assert gateway.log.count("[consumer] jobs waits for the queue") == 1


def test_a_gateway_without_an_aws_endpoint_reads_no_queue(service: Service) -> None:
    sent = service.send({})
    with running_gateway(service.root, EVENTS_FOLDER=str(service.events), AWS_ENDPOINT_URL="") as gateway:
        assert gateway.client.get("/health").status_code == 200
        time.sleep(1.5)  # longer than a poll
    assert not service.tries("consumer", sent[0])
    with service.gateway():
        until(lambda: service.tries("consumer", sent[0]) == [1])


def test_a_stopping_gateway_lets_a_batch_finish(service: Service, tmp_path: Path) -> None:
    go = tmp_path / "go"
    [sent] = service.send({"do": "wait", "until": str(go)}, queue="plain")
    with service.gateway() as gateway:
        until(lambda: service.tries("plain", sent) == [1])
        gateway.process.send_signal(signal.SIGTERM)
        go.touch()
        assert gateway.process.wait(30) == 0
    assert service.is_empty("plain")


def test_a_stopping_gateway_gives_back_what_it_cannot_finish(service: Service, tmp_path: Path) -> None:
    [sent] = service.send({"do": "hang"}, queue="plain")
    with service.gateway() as gateway:
        until(lambda: service.tries("plain", sent) == [1])
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(30) == 0
        assert "Traceback" not in gateway.log
    sqs, queue = service.aws.sqs(), service.queue("plain")
    [message] = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert message["MessageId"] == sent
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


@pytest.mark.parametrize(
    ("result", "failed"),
    [
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({}, set()),
        (None, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "c"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": []}]}, {"a", "b"}),
        ({"batchItemFailures": [{"identifier": "a"}]}, {"a", "b"}),
        ({"batchItemFailures": ["a"]}, {"a", "b"}),
        ({"batchItemFailures": 1}, {"a", "b"}),
        ("text", {"a", "b"}),
    ],
)
def test_which_messages_a_result_fails(result: object, failed: set[str]) -> None:
    payload = json.dumps(result).encode()
    assert failed_messages(payload, ["a", "b"], partial=True) == failed
    assert failed_messages(payload, ["a", "b"], partial=False) == set()


def test_queues_and_sources_are_read_from_the_deployment() -> None:
    functions = parse(FUNCTIONS + RESOURCES)
    assert functions["consumer"].sources == (EventSource("jobs", batch_size=4, partial_failures=True),)
    assert functions["undertaker"].sources == (EventSource("jobs-dead"),)
    assert functions["plain"].sources == (EventSource("plain"),)
    assert not functions["consumer"].has_url
    assert deployed_queues(load(RESOURCES)) == [
        Queue("jobs", 600, dead_letters="jobs-dead", max_receive_count=2),
        Queue("jobs-dead"),
        Queue("plain"),
    ]


def test_a_source_that_names_no_queue_is_an_error() -> None:
    with pytest.raises(ValueError, match="names no queue"):
        parse("functions: {f: {handler: a.b.c, events: [{sqs: {arn: !GetAtt Missing.Arn}}, {schedule: rate(1 hour)}]}}")


def test_the_projects_own_queues_have_the_names_that_its_code_knows() -> None:
    document = load((Path(__file__).parents[2] / "serverless.yml").read_text())
    queues = {queue.name: queue for queue in deployed_queues(document)}
    for name in ("videomaker-ingest", "videomaker-render", "videomaker-merge", "videomaker-webhooks"):
        assert queues[name].dead_letters == f"{name}-dead"
        assert f"{name}-dead" in queues


def test_a_queue_hides_its_messages_six_times_as_long_as_its_function_may_take() -> None:
    document = load((Path(__file__).parents[2] / "serverless.yml").read_text())
    queues = {queue.name: queue for queue in deployed_queues(document)}
    for function in parse((Path(__file__).parents[2] / "serverless.yml").read_text()).values():
        for source in function.sources:
            assert queues[source.queue].visibility_seconds >= 6 * function.timeout, source.queue
