"""Uploads as browsers send them, against the local S3: what S3 would refuse is refused, and nothing of it is stored."""

import base64
import json
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from xml.etree import ElementTree

import httpx
import psutil
import pytest

from infra.local.aws.post_form import DISCARD_LIMIT
from infra.local.aws.post_signature import Account, sign
from tests.infra.running import until
from tests.infra.running_aws import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, RunningAws, free_port, running_aws

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TYPE = "image/png"
MAX_BYTES = 1000
ORIGIN = {"Origin": "https://app.example"}
CONTENT = b"\x89PNG\r\n\x1a\n\x00--boundary\r\n"

Fields = dict[str, str]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAws]:
    with running_aws(free_port(), tmp_path_factory.mktemp("aws") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def s3(aws: RunningAws) -> "S3Client":
    return aws.s3()


@pytest.fixture
def key() -> str:
    return f"uploads/{uuid4()}"


@pytest.fixture
def ticket(s3: "S3Client", key: str) -> Fields:
    """The fields of a ticket for one PNG image of 1 to 1,000 bytes."""
    conditions = [{"Content-Type": TYPE}, ["content-length-range", 1, MAX_BYTES]]
    fields: Fields = s3.generate_presigned_post(BUCKET, key, {"Content-Type": TYPE}, conditions, ExpiresIn=60)["fields"]
    return fields


@pytest.fixture
def nothing_stored(s3: "S3Client") -> Iterator[None]:
    before = stored(s3)
    yield
    assert stored(s3) == before


def post(aws: RunningAws, fields: Mapping[str, str], content: bytes = CONTENT, name: str = "a.png") -> httpx.Response:
    return httpx.post(f"{aws.url}/{BUCKET}", data=fields, files={"file": (name, content, TYPE)}, headers=ORIGIN)


def stored(s3: "S3Client") -> set[str]:
    return {entry.get("Key", "") for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def error(response: httpx.Response) -> dict[str, str]:
    assert response.headers["content-type"] == "application/xml"
    assert response.headers["access-control-allow-origin"] == "*"
    root = ElementTree.fromstring(response.content)
    assert root.tag == "Error"
    return {element.tag: element.text or "" for element in root}


def signed(*conditions: object, seconds: float = 60, secret: str = SECRET_KEY, **fields: str) -> Fields:
    """The fields of a form with a policy of these conditions, which need not be one that boto3 would make."""
    now = datetime.now(UTC)
    date = f"{now:%Y%m%d}"
    signature_fields = {
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{ACCESS_KEY}/{date}/{REGION}/s3/aws4_request",
        "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
    }
    own = [{"bucket": BUCKET}, *({name: value} for name, value in signature_fields.items())]
    expiration = f"{now + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
    document = {"expiration": expiration, "conditions": [*own, *conditions]}
    policy = base64.b64encode(json.dumps(document).encode()).decode()
    signature = sign(policy, date, Account(ACCESS_KEY, secret, REGION))
    return {**fields, **signature_fields, "policy": policy, "x-amz-signature": signature}


@pytest.mark.parametrize("size", [1, MAX_BYTES])
def test_what_the_ticket_allows_is_stored_as_it_came(
    aws: RunningAws, s3: "S3Client", ticket: Fields, key: str, size: int
) -> None:
    content = (CONTENT * MAX_BYTES)[:size]
    response = post(aws, ticket, content)
    assert (response.status_code, response.content) == (204, b"")
    found = s3.get_object(Bucket=BUCKET, Key=key)
    assert (found["Body"].read(), found["ContentType"]) == (content, TYPE)


def test_a_bucket_may_be_named_by_the_host(aws: RunningAws, s3: "S3Client", ticket: Fields, key: str) -> None:
    host = {"Host": f"{BUCKET}.localhost:{aws.port}"}
    content = {"file": ("a.png", CONTENT)}
    refused = httpx.post(aws.url, data={**ticket, "key": "other"}, files=content, headers=host)
    assert refused.status_code == 403
    assert httpx.post(aws.url, data=ticket, files=content, headers=host).status_code == 204
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == CONTENT


def test_the_name_of_the_file_may_be_part_of_the_key(aws: RunningAws, s3: "S3Client", key: str) -> None:
    fields = signed(["starts-with", "$key", key], key=f"{key}/${{filename}}")
    assert post(aws, fields, name=r"C:\pictures/a ü.png").status_code == 204
    assert f"{key}/a ü.png" in stored(s3)


def test_names_of_fields_are_in_any_case(aws: RunningAws, s3: "S3Client", ticket: Fields, key: str) -> None:
    assert post(aws, {name.upper(): value for name, value in ticket.items()}).status_code == 204
    assert s3.head_object(Bucket=BUCKET, Key=key)["ContentType"] == TYPE


def test_what_follows_the_file_is_ignored(aws: RunningAws, s3: "S3Client", ticket: Fields, key: str) -> None:
    parts = [(name, (None, value)) for name, value in ticket.items()]
    after = [("Content-Type", (None, "text/html")), ("key", (None, "other")), ("acl", (None, "public-read"))]
    files: list[Any] = [*parts, ("file", ("a.png", CONTENT)), *after]
    assert httpx.post(f"{aws.url}/{BUCKET}", files=files).status_code == 204
    assert s3.head_object(Bucket=BUCKET, Key=key)["ContentType"] == TYPE
    assert "other" not in stored(s3)


@pytest.mark.usefixtures("nothing_stored")
def test_a_file_that_is_too_long_or_too_short_is_refused(aws: RunningAws, ticket: Fields) -> None:
    too_long = post(aws, ticket, b"x" * (MAX_BYTES + 1))
    told = error(too_long)
    assert (too_long.status_code, told["Code"]) == (400, "EntityTooLarge")
    assert (told["ProposedSize"], told["MaxSizeAllowed"]) == ("1001", "1000")
    too_short = post(aws, ticket, b"")
    told = error(too_short)
    assert (too_short.status_code, told["Code"]) == (400, "EntityTooSmall")
    assert (told["ProposedSize"], told["MinSizeAllowed"]) == ("0", "1")


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("changed", "code", "message"),
    [
        (
            {"Content-Type": "text/html"},
            "AccessDenied",
            'Policy Condition failed: ["eq", "$Content-Type", "image/png"]',
        ),
        ({"key": "uploads/other"}, "AccessDenied", 'Policy Condition failed: ["eq", "$key", "uploads/'),
        ({"acl": "public-read"}, "AccessDenied", "Invalid according to Policy: Extra input fields: acl"),
        ({"x-amz-signature": "0" * 64}, "SignatureDoesNotMatch", "does not match the signature you provided"),
        ({"policy": base64.b64encode(b"{}").decode()}, "SignatureDoesNotMatch", ""),
        ({"x-amz-date": "20200101T000000Z"}, "AccessDenied", 'Policy Condition failed: ["eq", "$x-amz-date"'),
    ],
)
def test_a_form_that_is_not_the_tickets_is_refused(
    aws: RunningAws, ticket: Fields, changed: Fields, code: str, message: str
) -> None:
    response = post(aws, ticket | changed)
    assert (response.status_code, error(response)["Code"]) == (403, code)
    assert message in error(response)["Message"]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("missing", "status", "code"),
    [
        ("Content-Type", 403, "AccessDenied"),
        ("key", 400, "InvalidArgument"),
        ("policy", 403, "AccessDenied"),
        ("x-amz-signature", 400, "InvalidArgument"),
        ("x-amz-credential", 400, "InvalidArgument"),
    ],
)
def test_a_form_that_lacks_a_field_is_refused(
    aws: RunningAws, ticket: Fields, missing: str, status: int, code: str
) -> None:
    response = post(aws, {name: value for name, value in ticket.items() if name != missing})
    assert (response.status_code, error(response)["Code"]) == (status, code)


def test_a_policy_of_the_past_or_by_another_secret_is_refused(aws: RunningAws, s3: "S3Client", key: str) -> None:
    before = stored(s3)
    expired = post(aws, signed({"key": key}, seconds=-1, key=key))
    assert error(expired)["Message"] == "Invalid according to Policy: Policy expired."
    foreign = post(aws, signed({"key": key}, secret="another", key=key))
    assert error(foreign)["Code"] == "SignatureDoesNotMatch"
    assert (expired.status_code, foreign.status_code) == (403, 403)
    assert stored(s3) == before
    assert post(aws, signed({"key": key}, key=key)).status_code == 204


def test_a_policy_for_another_bucket_is_refused(aws: RunningAws, s3: "S3Client", ticket: Fields, key: str) -> None:
    s3.create_bucket(Bucket="other")
    response = httpx.post(f"{aws.url}/other/", data=ticket, files={"file": CONTENT})
    assert response.status_code == 403
    assert f'["eq", "$bucket", "{BUCKET}"]' in response.text
    assert "Contents" not in s3.list_objects_v2(Bucket="other")


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("multipart/form-data; boundary=b", b"key=x", 400, "MalformedPOSTRequest"),
        ("multipart/form-data; boundary=b", b"", 400, "MalformedPOSTRequest"),
        ("multipart/form-data", b"key=x", 400, "MalformedPOSTRequest"),
        ("multipart/form-data; boundary=b", b"--b\r\nX: y\r\n\r\nz\r\n--b--\r\n", 400, "MalformedPOSTRequest"),
        ("multipart/form-data; boundary=b", b"--b--\r\n", 400, "InvalidArgument"),
        ("application/x-www-form-urlencoded", b"key=x&file=y", 412, "PreconditionFailed"),
        ("text/plain", b"x", 412, "PreconditionFailed"),
    ],
)
def test_what_is_no_form_is_refused(aws: RunningAws, content_type: str, body: bytes, status: int, code: str) -> None:
    headers = {"Content-Type": content_type, **ORIGIN}
    response = httpx.post(f"{aws.url}/{BUCKET}", content=body, headers=headers)
    assert (response.status_code, error(response)["Code"]) == (status, code)


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "header",
    [
        {"Authorization": "AWS local:c2lnbmF0dXJl"},
        {"Authorization": "Bearer token"},
        {"Authorization": f"AWS4-HMAC-SHA256 Credential=local/20260131/{REGION}/s3/aws4_request, Signature=0"},
        {"X-Amz-Target": "AmazonSQS.SendMessage"},
    ],
)
def test_headers_do_not_replace_the_signature_of_the_form(aws: RunningAws, header: Fields) -> None:
    form = {"data": {"key": "uploads/x"}, "files": {"file": CONTENT}}
    assert httpx.post(f"{aws.url}/{BUCKET}", headers=header, **form).status_code == 403  # type: ignore[arg-type]


@pytest.mark.usefixtures("nothing_stored")
def test_a_form_without_a_file_or_with_two_is_refused(aws: RunningAws, ticket: Fields) -> None:
    parts = [(name, (None, value)) for name, value in ticket.items()]
    for count in (0, 2):
        files: list[Any] = [*parts, *[("file", ("a.png", CONTENT))] * count]
        response = httpx.post(f"{aws.url}/{BUCKET}", files=files, headers=ORIGIN)
        assert (response.status_code, error(response)["ArgumentValue"]) == (400, str(count))


@pytest.mark.usefixtures("nothing_stored")
def test_a_form_that_breaks_off_is_not_stored(aws: RunningAws, ticket: Fields) -> None:
    request = httpx.Request("POST", f"{aws.url}/{BUCKET}", data=ticket, files={"file": ("a.png", CONTENT * 20)})
    body = request.read()
    with socket.create_connection(("127.0.0.1", aws.port)) as connection:
        head = f"Content-Type: {request.headers['content-type']}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(f"POST /{BUCKET} HTTP/1.1\r\nHost: x\r\n{head}".encode() + body[:-100])
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()
    assert b"<Code>MalformedPOSTRequest</Code>" in answer


@pytest.mark.usefixtures("nothing_stored")
def test_fields_in_front_of_the_file_are_short(aws: RunningAws, key: str) -> None:
    response = post(aws, signed({"key": key}, key=key) | {"x-ignore-this": "x" * 20_000})
    assert error(response)["Code"] == "MaxPostPreDataLengthExceeded"


@pytest.mark.usefixtures("nothing_stored")
def test_a_file_far_above_the_limit_is_neither_kept_nor_read_to_its_end(aws: RunningAws, ticket: Fields) -> None:
    memory = psutil.Process(aws.process.pid).memory_info
    used = memory().rss
    response = post(aws, ticket, bytes(DISCARD_LIMIT + 100_000_000))
    told = error(response)
    assert told["Code"] == "EntityTooLarge"
    assert DISCARD_LIMIT < int(told["ProposedSize"]) < DISCARD_LIMIT + 100_000_000
    assert memory().rss - used < 40_000_000


def test_a_large_file_is_stored_whole(aws: RunningAws, s3: "S3Client", key: str) -> None:
    content = bytes(range(256)) * 120_000
    fields = signed({"key": key}, ["content-length-range", 0, len(content)], key=key)
    assert post(aws, fields, content).status_code == 204
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == content


def test_a_preflight_is_answered_by_the_rules_of_the_bucket(aws: RunningAws) -> None:
    asked = ORIGIN | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-Any, content-type"}
    allowed = httpx.options(f"{aws.url}/{BUCKET}", headers=asked)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "*"
    assert allowed.headers["access-control-allow-methods"] == "POST"
    assert allowed.headers["access-control-allow-headers"] == "x-any, content-type"
    assert int(allowed.headers["access-control-max-age"]) > 0
    forbidden = httpx.options(f"{aws.url}/{BUCKET}/x", headers={**asked, "Access-Control-Request-Method": "PUT"})
    assert (forbidden.status_code, "access-control-allow-origin" in forbidden.headers) == (403, False)
    assert httpx.options(f"{aws.url}/no-such-bucket", headers=asked).status_code == 403


def test_a_bucket_with_other_rules_is_closed_to_other_origins(aws: RunningAws, s3: "S3Client") -> None:
    s3.create_bucket(Bucket="private")
    rule = {"AllowedOrigins": ["https://*.example"], "AllowedMethods": ["POST"], "ExposeHeaders": ["ETag"]}
    s3.put_bucket_cors(Bucket="private", CORSConfiguration={"CORSRules": [rule]})  # type: ignore[list-item]
    known, unknown = (
        httpx.post(f"{aws.url}/private", files={"file": b"x"}, headers={"Origin": origin})
        for origin in ("https://app.example", "https://app.invalid")
    )
    assert known.headers["access-control-allow-origin"] == "https://app.example"
    assert known.headers["access-control-expose-headers"] == "ETag"
    assert known.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in unknown.headers


def test_objects_can_still_be_deleted_many_at_once(aws: RunningAws, s3: "S3Client", ticket: Fields, key: str) -> None:
    assert post(aws, ticket).status_code == 204
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key}]})
    assert key not in stored(s3)


def test_each_stored_upload_is_announced_in_the_queue(
    aws: RunningAws, s3: "S3Client", ticket: Fields, key: str
) -> None:
    sqs = aws.sqs()
    queue = sqs.get_queue_url(QueueName=BUCKET)["QueueUrl"]
    seen: list[dict[str, Any]] = []

    def announced() -> bool:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            seen.extend(json.loads(message["Body"]).get("Records", []))
        return any(record["s3"]["object"]["key"] == key.replace("/", "%2F") for record in seen)

    assert post(aws, {**ticket, "acl": "private"}).status_code == 403
    assert post(aws, ticket).status_code == 204
    until(announced)
    [record] = [record for record in seen if record["s3"]["object"]["key"] == key.replace("/", "%2F")]
    assert record["eventName"] == "ObjectCreated:Post"
    assert record["s3"]["object"]["size"] == len(CONTENT)


def test_a_message_that_is_never_deleted_becomes_a_dead_letter(aws: RunningAws) -> None:
    sqs = aws.sqs()
    queue, dead = (sqs.get_queue_url(QueueName=f"{BUCKET}{end}")["QueueUrl"] for end in ("", "-dead"))
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert json.loads(attributes["RedrivePolicy"])["maxReceiveCount"] == 3
    sqs.purge_queue(QueueUrl=queue)
    sent = sqs.send_message(QueueUrl=queue, MessageBody="{}")["MessageId"]
    for _ in range(3):
        [message] = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0)["Messages"]
        assert message["MessageId"] == sent
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)
    assert [message["MessageId"] for message in sqs.receive_message(QueueUrl=dead)["Messages"]] == [sent]
