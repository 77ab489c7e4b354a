"""Tickets for direct uploads: S3 presigned POSTs, signed here.

The AWS SDK signs them too, but importing it costs a function twice its cold start; a test compares the two.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from shared.errors import AppError
from shared.settings import AwsSettings, settings

TICKET_SECONDS: Final = 3600

_KEY: Final = re.compile(r"uploads/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where to POST a file as multipart/form-data, and the fields that go before it."""

    url: str
    fields: dict[str, str]


def key_of(upload_id: str) -> str:
    """Return the key of an upload's raw file: nothing that a client chose is part of it."""
    return f"uploads/{upload_id}"


def upload_id_of(key: str) -> str | None:
    """Return the upload that a raw file belongs to; None for a key that is not ours."""
    match = _KEY.fullmatch(key)
    return str(UUID(match[1])) if match else None


def ticket(upload_id: str, content_type: str, size: int) -> Ticket:
    """Return a ticket for one file of this type and at most this size in bytes, valid for an hour."""
    chosen = settings()
    if not chosen.aws.secret_access_key:
        raise AppError("not_configured", "AWS credentials are not set.")
    fields = {"key": key_of(upload_id), "Content-Type": content_type}
    return _presigned_post(chosen.ingest_bucket, fields, size, chosen.aws, datetime.now(UTC))


def _presigned_post(bucket: str, fields: dict[str, str], size: int, aws: AwsSettings, now: datetime) -> Ticket:
    day = now.strftime("%Y%m%d")
    fields = {
        **fields,
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{aws.access_key_id}/{day}/{aws.region}/s3/aws4_request",
        "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
    }
    if aws.session_token:
        fields["x-amz-security-token"] = aws.session_token
    policy = {
        "expiration": (now + timedelta(seconds=TICKET_SECONDS)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "conditions": [
            {"bucket": bucket},
            ["content-length-range", 1, size],
            *({name: value} for name, value in fields.items()),
        ],
    }
    encoded = base64.b64encode(json.dumps(policy).encode()).decode()
    signature = hmac.new(_signing_key(aws, day), encoded.encode(), hashlib.sha256).hexdigest()
    return Ticket(_url(bucket, aws), {**fields, "policy": encoded, "x-amz-signature": signature})


def _signing_key(aws: AwsSettings, day: str) -> bytes:
    key = f"AWS4{aws.secret_access_key}".encode()
    for part in (day, aws.region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _url(bucket: str, aws: AwsSettings) -> str:
    return f"{aws.endpoint_url}/{bucket}" if aws.endpoint_url else f"https://{bucket}.s3.{aws.region}.amazonaws.com/"
