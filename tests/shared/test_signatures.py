"""signatures: requests that are signed as the AWS SDK signs them."""

from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from shared.errors import AppError
from shared.settings import AwsSettings
from shared.signatures import signed_post

KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
HEADERS = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessageBatch"}


@pytest.mark.parametrize("token", [None, "session-token"])
@pytest.mark.parametrize("url", ["https://sqs.eu-central-1.amazonaws.com/", "http://127.0.0.1:5000/"])
@pytest.mark.parametrize("body", [b"{}", '{"a": "ä\\u0000"}'.encode()])
def test_the_sdk_signs_the_same(token: str | None, url: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = AwsSettings("eu-central-1", None, *KEYS, token)
    ours = signed_post(aws, "sqs", NOW, url, HEADERS, body)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW.replace(tzinfo=None))
    request = AWSRequest(method="POST", url=url, data=body, headers=HEADERS)
    SigV4Auth(Credentials(*KEYS, token), "sqs", "eu-central-1").add_auth(request)
    theirs = {name.lower(): value for name, value in request.headers.items()}
    assert {name: ours[name] for name in theirs} == theirs


def test_nothing_is_signed_without_credentials() -> None:
    with pytest.raises(AppError) as refused:
        signed_post(AwsSettings("us-east-1", None, "", "", None), "sqs", NOW, "https://x/", {}, b"")
    assert refused.value.code == "not_configured"
