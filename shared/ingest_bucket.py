"""The raw files that have arrived in the ingest bucket. Nothing is ever served from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import AppError
from shared.observability import log, timed
from shared.settings import settings
from shared.tickets import key_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_CHUNK_BYTES: Final = 1024 * 1024


@lru_cache(maxsize=1)
def _s3() -> "S3Client":
    timeouts = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 3, "mode": "standard"})
    return boto3.client("s3", config=timeouts.merge(Config(signature_version="s3v4")))


class RawFile:
    """A raw file that has arrived: its size in bytes, and its bytes, at once or in chunks."""

    def __init__(self, upload_id: str, response: "GetObjectOutputTypeDef") -> None:
        self.upload_id = upload_id
        self.size = response["ContentLength"]
        self._body = response["Body"]

    def read(self) -> bytes:
        """Return all of it."""
        with _translated():
            return self._body.read()

    def chunks(self) -> Iterator[bytes]:
        """Return it in pieces of 1 MiB."""
        with _translated():
            yield from self._body.iter_chunks(_CHUNK_BYTES)


def open_raw(upload_id: str) -> RawFile | None:
    """Return the raw file of an upload, or None where there is none."""
    with _translated():
        try:
            found = _s3().get_object(Bucket=settings().ingest_bucket, Key=key_of(upload_id))
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
    return RawFile(upload_id, found)


def delete_raw(upload_id: str) -> None:
    """Delete the raw file of an upload, if it is there."""
    with _translated():
        _s3().delete_object(Bucket=settings().ingest_bucket, Key=key_of(upload_id))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with timed("storage"):
            yield
    except (BotoCoreError, ClientError) as error:
        log("upstream_failed", service="ingest_bucket", error=error)
        raise AppError("storage_unavailable") from error
