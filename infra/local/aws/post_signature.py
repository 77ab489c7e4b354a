"""The signature of a browser's upload: version 4, over the policy exactly as the form has it.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from infra.local.aws.errors import S3Error, access_denied, invalid_argument, missing_field

ALGORITHM: Final = "AWS4-HMAC-SHA256"

_FIELDS: Final = ("X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date")
_CREDENTIAL: Final = re.compile(r"(?P<key>.+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_DATE: Final = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Account:
    """The one access key that is known here, and the region in which its signatures count."""

    access_key: str
    secret_key: str
    region: str


def check_signature(fields: Mapping[str, str], account: Account) -> None:
    """Raises S3Error unless the account has signed the policy of a form, whose names are in lower case."""
    present = [name for name in _FIELDS if name.lower() in fields]
    if "policy" not in fields or not present:
        raise access_denied()
    for name in _FIELDS:
        if name not in present:
            raise missing_field(name)
    date = _signing_date(fields, account)
    policy, given = fields["policy"], fields["x-amz-signature"]
    if not hmac.compare_digest(sign(policy, date, account).encode(), given.encode()):
        raise S3Error(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            AWSAccessKeyId=account.access_key,
            StringToSign=policy,
            SignatureProvided=given,
            StringToSignBytes=policy.encode().hex(" "),
        )


def sign(policy: str, date: str, account: Account) -> str:
    """The signature of an encoded policy, for a `date` like `20251231`."""
    key = f"AWS4{account.secret_key}".encode()
    for part in (date, account.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), sha256)
    return hmac.new(key, policy.encode(), sha256).hexdigest()


def _signing_date(fields: Mapping[str, str], account: Account) -> str:
    """The date in the credential. Raises S3Error unless all that the signature tells of itself is right."""
    if fields["x-amz-algorithm"] != ALGORITHM:
        raise invalid_argument(
            f'X-Amz-Algorithm only supports "{ALGORITHM}"', "X-Amz-Algorithm", fields["x-amz-algorithm"]
        )
    if not _DATE.fullmatch(fields["x-amz-date"]):
        message = "X-Amz-Date must be formated via ISO8601 Long format"  # spelt so by S3
        raise invalid_argument(message, "X-Amz-Date", fields["x-amz-date"])
    given = fields["x-amz-credential"]
    credential = _CREDENTIAL.fullmatch(given)
    if credential is None or credential["service"] != "s3":
        message = 'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/s3/aws4_request".'
        raise invalid_argument(message, "X-Amz-Credential", given)
    if credential["key"] != account.access_key:
        message = "The AWS Access Key Id you provided does not exist in our records."
        raise S3Error(403, "InvalidAccessKeyId", message, AWSAccessKeyId=credential["key"])
    if credential["region"] != account.region:
        message = f"the region '{credential['region']}' is wrong; expecting '{account.region}'"
        raise invalid_argument(message, "X-Amz-Credential", given, Region=account.region)
    return credential["date"]
