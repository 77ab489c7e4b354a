"""`python -m infra.local.gateway`: serve the functions of `serverless.yml`, configured by the environment.

PORT (default 8787; 0 takes a free one), HOST (127.0.0.1), SERVERLESS_YML (the one at the top of the tree),
GATEWAY_FUNCTION_ENVIRONMENTS (10), GATEWAY_ENVIRONMENTS (24), GATEWAY_WAIT_SECONDS (10); AWS_ENDPOINT_URL, with
credentials and region, is where queues are polled: without it none are. GATEWAY_LOG is a file for the log, as JSON.
"""

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from infra.local.gateway.app import create_app
from infra.local.gateway.configuration import Service
from infra.local.gateway.environments import Limits

SHUTDOWN_SECONDS = 2  # for invocations that are under way


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    default = Path(__file__).parents[3] / "serverless.yml"
    service = Service(Path(os.environ.get("SERVERLESS_YML", default)))
    app = create_app(service, _limits())
    listener = _listen(os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8787")))
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again when it is done
    host, port = listener.getsockname()[:2]
    print(f"{len(service.functions)} functions at http://{host}:{port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def _limits() -> Limits:
    defaults = Limits()
    return Limits(
        per_function=int(os.environ.get("GATEWAY_FUNCTION_ENVIRONMENTS", defaults.per_function)),
        total=int(os.environ.get("GATEWAY_ENVIRONMENTS", defaults.total)),
        wait_seconds=float(os.environ.get("GATEWAY_WAIT_SECONDS", defaults.wait_seconds)),
    )


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # asyncio turns Nagle off only where it sees this
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(1024)
    return listener


if __name__ == "__main__":
    main()
