"""`python -m infra.local.aws`: serve S3 and SQS, with the queues of `serverless.yml` and the bucket INGEST_BUCKET.

AWS_ENDPOINT_URL is the address to serve at, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION are what
forms must be signed with, SERVERLESS_YML is the file to read (the one at the top of the tree).
"""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from moto.moto_server import werkzeug_app
from moto.sqs import models as sqs
from werkzeug.serving import make_server

from infra.local.aws import resources
from infra.local.aws.front import HEALTH, Front
from infra.local.aws.post_signature import Account
from infra.local.gateway.document import load


class _RequestHandler(werkzeug_app.MotoRequestHandler):
    """Logs what happens to buckets, and not that somebody asks again and again."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if self.path not in {"/", HEALTH}:  # all calls to SQS have the path /
            super().log_request(code, size)


def main(environment: Mapping[str, str]) -> None:
    """Serves until SIGTERM or SIGINT; `/health` answers 200 once bucket and queues are there."""
    stopping = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    front = Front(_moto(), _account(environment))
    address = urlsplit(environment["AWS_ENDPOINT_URL"])
    server = make_server(
        str(address.hostname),
        int(address.port or 0),
        front,
        threaded=True,
        request_handler=_RequestHandler,
    )
    Thread(target=server.serve_forever, daemon=True).start()
    default = Path(__file__).parents[3] / "serverless.yml"
    path = Path(environment.get("SERVERLESS_YML", default))
    resources.create(load(path.read_text(), path.parent), environment["INGEST_BUCKET"])
    front.ready = True
    signal.sigwait(stopping)


def _moto() -> werkzeug_app.DomainDispatcherApplication:
    setattr(werkzeug_app, "DISABLE_GLOBAL_CORS", True)  # noqa: B010 - else every answer is for every origin
    # Asked for every message of a queue whenever one is sent: by way of datetimes a thousand took minutes.
    setattr(sqs, "unix_time_millis", lambda: time.time() * 1000)  # noqa: B010
    setattr(sqs.SQSBackend, "send_message_batch", _send_batch)  # noqa: B010
    return werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)


_moto_sends_batch = sqs.SQSBackend.send_message_batch


def _send_batch(backend: Any, queue: str, entries: dict[str, dict[str, Any]]) -> Any:
    """What moto does, which forgets the trace that messages of a batch are part of."""
    messages, failed = _moto_sends_batch(backend, queue, entries)
    told = {entry["Id"]: entry.get("MessageSystemAttributes") or {} for entry in entries.values()}
    for message in messages:
        message.system_attributes = told[vars(message)["user_id"]]
    return messages, failed


def _account(environment: Mapping[str, str]) -> Account:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    access_key, secret_key, region = (environment[name] for name in names)
    return Account(access_key, secret_key, region)


if __name__ == "__main__":
    main(os.environ)
