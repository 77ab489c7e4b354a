"""Policies and signatures of browsers' uploads, by S3's documentation and what its answers were."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.local.aws.errors import S3Error
from infra.local.aws.post_policy import LARGEST_UPLOAD, PostPolicy, SizeRange
from infra.local.aws.post_signature import Account, check_signature, sign

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
ACCOUNT = Account("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
# The example of Amazon's page "Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)".
EXAMPLE = (
    "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NG"
    "V4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVh"
    "ZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2"
    "Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1t"
    "ZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWy"
    "JzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1Q"
    "TEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifS"
    "wNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"
)
EXAMPLE_FIELDS = {
    "key": "user/user1/photo.jpg",
    "acl": "public-read",
    "success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
    "content-type": "image/jpeg",
    "x-amz-meta-uuid": "14365123651274",
    "x-amz-server-side-encryption": "AES256",
    "x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request",
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-date": "20151229T000000Z",
    "x-amz-meta-tag": "",
    "policy": EXAMPLE,
    "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
}


def encoded(document: object) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


def policy(*conditions: object, expiration: object = "2026-01-31T12:00:01Z") -> PostPolicy:
    return PostPolicy.parse(encoded({"expiration": expiration, "conditions": conditions}))


def refusal(*conditions: object, **fields: str) -> str:
    with pytest.raises(S3Error) as refused:
        policy(*conditions).check(fields, NOW)
    assert (refused.value.status, refused.value.code) == (403, "AccessDenied")
    return refused.value.message.removeprefix("Invalid according to Policy: ")


def test_the_example_of_the_documentation_is_accepted() -> None:
    check_signature(EXAMPLE_FIELDS, ACCOUNT)
    when = datetime(2015, 12, 30, 11, 59, tzinfo=UTC)
    sizes = PostPolicy.parse(EXAMPLE).check(EXAMPLE_FIELDS | {"bucket": "sigv4examplebucket"}, when)
    assert sizes == SizeRange(0, LARGEST_UPLOAD)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"policy": EXAMPLE[:-4]}, "SignatureDoesNotMatch"),
        ({"x-amz-signature": "0" * 64}, "SignatureDoesNotMatch"),
        ({"x-amz-signature": "ü"}, "SignatureDoesNotMatch"),
        ({"x-amz-signature": sign(EXAMPLE, "20151229", Account("", "other", "us-east-1"))}, "SignatureDoesNotMatch"),
        ({"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151230/us-east-1/s3/aws4_request"}, "SignatureDoesNotMatch"),
        ({"x-amz-credential": "UNKNOWN/20151229/us-east-1/s3/aws4_request"}, "InvalidAccessKeyId"),
        ({"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/eu-west-1/s3/aws4_request"}, "InvalidArgument"),
        ({"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/sqs/aws4_request"}, "InvalidArgument"),
        ({"x-amz-credential": "nonsense"}, "InvalidArgument"),
        ({"x-amz-date": "2015-12-29"}, "InvalidArgument"),
        ({"x-amz-algorithm": "AWS4-HMAC-SHA1"}, "InvalidArgument"),
    ],
)
def test_what_the_account_has_not_signed_is_refused(changed: dict[str, str], code: str) -> None:
    with pytest.raises(S3Error) as refused:
        check_signature(EXAMPLE_FIELDS | changed, ACCOUNT)
    assert refused.value.code == code
    assert ACCOUNT.secret_key not in str(refused.value.elements)


def test_a_false_signature_is_answered_with_what_should_have_been_signed() -> None:
    with pytest.raises(S3Error) as refused:
        check_signature(EXAMPLE_FIELDS | {"policy": "cG9saWN5"}, ACCOUNT)
    assert refused.value.status == 403
    assert refused.value.elements["StringToSign"] == "cG9saWN5"
    assert refused.value.elements["StringToSignBytes"] == "63 47 39 73 61 57 4e 35"


@pytest.mark.parametrize("name", ["x-amz-signature", "x-amz-algorithm", "x-amz-credential", "x-amz-date"])
def test_a_missing_field_of_the_signature_is_named(name: str) -> None:
    with pytest.raises(S3Error, match="must contain a field named") as refused:
        check_signature({key: value for key, value in EXAMPLE_FIELDS.items() if key != name}, ACCOUNT)
    assert str(refused.value.elements["ArgumentName"]).lower() == name


@pytest.mark.parametrize("kept", [{"key"}, {"key", "policy"}, EXAMPLE_FIELDS.keys() - {"policy"}])
def test_a_form_that_nobody_has_signed_is_denied(kept: set[str]) -> None:
    with pytest.raises(S3Error) as refused:
        check_signature({name: value for name, value in EXAMPLE_FIELDS.items() if name in kept}, ACCOUNT)
    assert (refused.value.status, refused.value.code) == (403, "AccessDenied")


@pytest.mark.parametrize("expiration", ["2026-01-31T12:00:00Z", "2026-01-31T11:59:59.999Z"])
def test_a_policy_ends_at_its_expiration(expiration: str) -> None:
    with pytest.raises(S3Error, match=r"Invalid according to Policy: Policy expired\.$"):
        policy(expiration=expiration).check({}, NOW)
    policy(expiration=expiration).check({}, NOW - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("condition", "fields"),
    [
        ({"key": "a/b"}, {"key": "a/b"}),
        (["eq", "$key", "a/b"], {"key": "a/b"}),
        (["EQ", "$Key", "a/b"], {"key": "a/b"}),
        (["starts-with", "$key", "a/"], {"key": "a/b"}),
        (["starts-with", "$key", ""], {"key": "anything"}),
        (["starts-with", "$Content-Type", "image/"], {"content-type": "image/png,image/gif"}),
        ({"Content-Type": "text/html"}, {"content-type": "text/html", "x-ignore-me": "", "policy": ""}),
    ],
)
def test_a_form_as_its_policy_wants_it_is_accepted(condition: object, fields: dict[str, str]) -> None:
    policy(condition).check(fields, NOW)


@pytest.mark.parametrize(
    ("condition", "fields", "shown"),
    [
        ({"key": "a/b"}, {"key": "a/B"}, '["eq", "$key", "a/b"]'),
        ({"Content-Type": "image/png"}, {"content-type": "text/html"}, '["eq", "$Content-Type", "image/png"]'),
        (["eq", "$key", "ü"], {}, '["eq", "$key", "ü"]'),
        (["eq", "key", "a"], {"key": "a"}, '["eq", "key", "a"]'),
        (["starts-with", "$key", "a/"], {"key": "b/a/"}, '["starts-with", "$key", "a/"]'),
        (["starts-with", "$acl", ""], {}, '["starts-with", "$acl", ""]'),
        (["starts-with", "$content-type", "image/"], {"content-type": "image/png,text/html"}, None),
        (["content-length-range", "few", "10"], {}, '["content-length-range", "few", "10"]'),
    ],
)
def test_a_condition_that_fails_is_shown(condition: object, fields: dict[str, str], shown: str | None) -> None:
    message = refusal(condition, **fields)
    assert message == f"Policy Condition failed: {shown or json.dumps(condition)}"


def test_a_field_without_a_condition_is_refused() -> None:
    assert refusal({"key": "a"}, key="a", acl="private") == "Extra input fields: acl"
    assert refusal({"key": "a"}, key="a", bucket="b") == "Extra input fields: bucket"


def test_all_ranges_of_sizes_count() -> None:
    sizes = policy(["content-length-range", 5, 10], ["content-length-range", "7", "20"]).check({}, NOW)
    assert sizes == SizeRange(7, 10)
    for size in (7, 10):
        sizes.check(size)


@pytest.mark.parametrize(
    ("size", "code", "elements"),
    [
        (11, "EntityTooLarge", {"ProposedSize": 11, "MaxSizeAllowed": 10}),
        (4, "EntityTooSmall", {"ProposedSize": 4, "MinSizeAllowed": 5}),
    ],
)
def test_a_size_out_of_range_is_told(size: int, code: str, elements: dict[str, object]) -> None:
    with pytest.raises(S3Error) as refused:
        SizeRange(5, 10).check(size)
    assert (refused.value.status, refused.value.code, refused.value.elements) == (400, code, elements)


LATER = "2999-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{policy}", "Invalid JSON."),
        (base64.b64encode(b"expiration").decode(), "Invalid JSON."),
        (base64.b64encode(b"\xff").decode(), "Invalid JSON."),
        (encoded([]), "Invalid JSON."),
        (encoded({"conditions": []}), "Policy missing expiration."),
        (encoded({"expiration": LATER}), "Policy missing conditions."),
        (encoded({"expiration": LATER, "conditions": {}}), "Policy missing conditions."),
        (encoded({"expiration": LATER, "conditions": [], "Statement": []}), "Unexpected: 'statement'"),
        *(
            (encoded({"expiration": value, "conditions": []}), f"Invalid 'expiration' value: '{value}'")
            for value in ("tomorrow", "2999-02-30T00:00:00Z", "2999-01-01T00:00:00+00:00", "2999-01-01 00:00:00Z", 3)
        ),
    ],
)
def test_what_is_no_policy_is_refused(text: str, reason: str) -> None:
    with pytest.raises(S3Error) as refused:
        PostPolicy.parse(text)
    assert (refused.value.status, refused.value.code) == (400, "InvalidPolicyDocument")
    assert refused.value.message == f"Invalid Policy: {reason}"


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"key": "a", "acl": "private"},
        {"key": 1},
        {"key": None},
        [],
        "key",
        ["eq", "$key"],
        ["eq", "$key", 1],
        ["ends-with", "$key", "a"],
        ["content-length-range", 0],
        ["content-length-range", -1, 0],
        ["content-length-range", 0, 512.0],
        ["content-length-range", 0, True],
        [["eq"], "$key", "a"],
    ],
)
def test_what_is_no_condition_is_refused(condition: Any) -> None:
    with pytest.raises(S3Error) as refused:
        policy(condition)
    assert (refused.value.status, refused.value.code) == (400, "InvalidPolicyDocument")
