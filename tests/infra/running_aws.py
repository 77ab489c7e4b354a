"""S3 and SQS in a process of their own, for tests that need no more of the stack."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.session import Session
from botocore.config import Config

from infra.local.processes import answers
from infra.local.state import TOP
from tests.infra.running import until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

ACCESS_KEY, SECRET_KEY, REGION = "local", "local-secret", "us-east-1"
BUCKET = "videomaker-ingest"


@dataclass(frozen=True)
class RunningAws:
    """A process that serves S3 and SQS."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which functions reach it."""
        return variables(self.port)

    def s3(self) -> "S3Client":
        """A client."""
        config = Config(signature_version="s3v4")
        return Session(ACCESS_KEY, SECRET_KEY, region_name=REGION).client("s3", endpoint_url=self.url, config=config)

    def sqs(self) -> "SQSClient":
        """A client."""
        return Session(ACCESS_KEY, SECRET_KEY, region_name=REGION).client("sqs", endpoint_url=self.url)


def variables(port: int) -> dict[str, str]:
    """The environment of a process that uses S3 and SQS at this port."""
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "INGEST_BUCKET": BUCKET,
    }


def free_port() -> int:
    """A port that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running_aws(port: int, log: Path, **environment: str) -> Iterator[RunningAws]:
    """S3 and SQS, once bucket and queues are there; stopped at the end."""
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local.aws"],
            cwd=TOP,
            env={**os.environ, **variables(port), **environment},
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: process.poll() is not None or answers(port, "/health")())
        assert process.poll() is None, log.read_text()
        yield RunningAws(port, process)
    finally:
        process.terminate()
        process.wait(20)
