"""tickets: presigned POSTs that are what the AWS SDK would sign."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import S3SigV4PostAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from shared.settings import AwsSettings
from shared.tickets import _presigned_post, key_of, upload_id_of

AWS = AwsSettings("eu-central-1", None, "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
FIELDS = {"key": "uploads/x", "Content-Type": "image/png"}


def policy_of(fields: dict[str, str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(base64.b64decode(fields["policy"]))
    return found


@pytest.mark.parametrize("token", [None, "session-token"])
def test_the_sdk_signs_the_same_policy_with_the_same_signature(
    token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = AwsSettings(AWS.region, None, AWS.access_key_id, AWS.secret_access_key, token)
    ours = _presigned_post("b", FIELDS, 1000, aws, NOW)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW.replace(tzinfo=None))
    request = AWSRequest(method="POST", url="https://b.s3.amazonaws.com/")
    policy = {
        "expiration": "2026-05-04T04:02:01Z",
        "conditions": [{"bucket": "b"}, ["content-length-range", 1, 1000], *({k: v} for k, v in FIELDS.items())],
    }
    request.context.update({"s3-presign-post-fields": dict(FIELDS), "s3-presign-post-policy": policy})
    credentials = Credentials(AWS.access_key_id, AWS.secret_access_key, token)
    S3SigV4PostAuth(credentials, "s3", AWS.region).add_auth(request)
    theirs = request.context["s3-presign-post-fields"]
    assert ours.fields.keys() == theirs.keys()
    for name in ours.fields.keys() - {"policy", "x-amz-signature"}:
        assert ours.fields[name] == theirs[name], name
    assert sorted(map(str, policy_of(ours.fields)["conditions"])) == sorted(  # type: ignore[call-overload]
        map(str, policy_of(theirs)["conditions"])  # type: ignore[call-overload]
    )
    key = f"AWS4{AWS.secret_access_key}".encode()
    for part in ("20260504", AWS.region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    for fields in (ours.fields, theirs):
        assert hmac.new(key, fields["policy"].encode(), hashlib.sha256).hexdigest() == fields["x-amz-signature"]


def test_the_policy_fixes_key_type_size_and_hour() -> None:
    policy = policy_of(_presigned_post("b", FIELDS, 1000, AWS, NOW).fields)
    assert policy["expiration"] == (NOW + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = policy["conditions"]
    assert isinstance(conditions, list)
    for one in (
        {"bucket": "b"},
        {"key": "uploads/x"},
        {"Content-Type": "image/png"},
        ["content-length-range", 1, 1000],
    ):
        assert one in conditions
    assert not any(isinstance(one, list) and one[0] == "starts-with" for one in conditions)


def test_the_url_is_the_buckets_own_or_below_an_endpoint() -> None:
    assert _presigned_post("b", FIELDS, 1, AWS, NOW).url == "https://b.s3.eu-central-1.amazonaws.com/"
    local = AwsSettings("us-east-1", "http://127.0.0.1:1", "k", "s", None)
    assert _presigned_post("b", FIELDS, 1, local, NOW).url == "http://127.0.0.1:1/b"


def test_a_key_tells_its_upload_and_nothing_else_does() -> None:
    upload_id = "0b0e7c1e-6f0a-4b7e-8a56-0f0f5a3d9b11"
    assert upload_id_of(key_of(upload_id)) == upload_id
    for other in (
        "",
        "uploads/",
        "uploads/x",
        f"uploads/{upload_id}/..",
        f"/uploads/{upload_id}",
        f"uploads/{upload_id}\n",
    ):
        assert upload_id_of(other) is None
