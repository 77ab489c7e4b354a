"""AWS Signature Version 4, for the few requests that are made without the AWS SDK.

Importing the SDK costs a function twice its cold start; a test compares the two.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from shared.errors import AppError
from shared.settings import AwsSettings

ALGORITHM: Final = "AWS4-HMAC-SHA256"


def scope(aws: AwsSettings, service: str, now: datetime) -> str:
    """Return what a signature holds for: a day, a region and a service."""
    return f"{now:%Y%m%d}/{aws.region}/{service}/aws4_request"


def signature(aws: AwsSettings, service: str, now: datetime, text: str) -> str:
    """Return the signature of a text, hexadecimal; raises `not_configured` without credentials."""
    if not aws.secret_access_key:
        raise AppError("not_configured", "AWS credentials are not set.")
    key = f"AWS4{aws.secret_access_key}".encode()
    for part in scope(aws, service, now).split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def signed_post(  # noqa: PLR0913, PLR0917
    aws: AwsSettings, service: str, now: datetime, url: str, headers: dict[str, str], body: bytes
) -> dict[str, str]:
    """Return the headers of a POST without a query, in lower case, with those that prove who sends it."""
    place = urlsplit(url)
    signed = {**headers, "host": place.netloc, "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}"}
    if aws.session_token:
        signed["x-amz-security-token"] = aws.session_token
    names = sorted(signed)
    canonical = "\n".join(
        [
            "POST",
            place.path or "/",
            "",
            *(f"{name}:{signed[name]}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join([ALGORITHM, signed["x-amz-date"], scope(aws, service, now), digest])
    proof = (
        f"{ALGORITHM} Credential={aws.access_key_id}/{scope(aws, service, now)}, SignedHeaders={';'.join(names)}, "
        f"Signature={signature(aws, service, now, text)}"
    )
    return {**signed, "authorization": proof}
