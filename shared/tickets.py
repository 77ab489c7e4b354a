"""Tickets for direct uploads: S3 presigned POSTs, signed here; a test compares them with the AWS SDK's.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from shared.settings import AwsSettings, settings
from shared.signatures import ALGORITHM, scope, signature

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
    fields = {"key": key_of(upload_id), "Content-Type": content_type}
    return _presigned_post(chosen.ingest_bucket, fields, size, chosen.aws, datetime.now(UTC))


def _presigned_post(bucket: str, fields: dict[str, str], size: int, aws: AwsSettings, now: datetime) -> Ticket:
    fields = {
        **fields,
        "x-amz-algorithm": ALGORITHM,
        "x-amz-credential": f"{aws.access_key_id}/{scope(aws, 's3', now)}",
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
    signed = signature(aws, "s3", now, encoded)
    return Ticket(_url(bucket, aws), {**fields, "policy": encoded, "x-amz-signature": signed})


def _url(bucket: str, aws: AwsSettings) -> str:
    return f"{aws.endpoint_url}/{bucket}" if aws.endpoint_url else f"https://{bucket}.s3.{aws.region}.amazonaws.com/"
