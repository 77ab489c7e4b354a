"""S3 and SQS by moto's server, in memory: `python -m infra.local.aws`, with AWS_ENDPOINT_URL and INGEST_BUCKET."""

import os
import signal
from collections.abc import Mapping
from urllib.parse import urlsplit

import boto3
from moto.server import ThreadedMotoServer


def main(environment: Mapping[str, str]) -> None:
    """Serves until SIGTERM or SIGINT; the ingest bucket exists once it answers to a request for it."""
    stopping = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    address = urlsplit(environment["AWS_ENDPOINT_URL"])
    server = ThreadedMotoServer(str(address.hostname), int(address.port or 0), verbose=False)
    server.start()
    boto3.client("s3").create_bucket(Bucket=environment["INGEST_BUCKET"])
    signal.sigwait(stopping)


if __name__ == "__main__":
    main(os.environ)
