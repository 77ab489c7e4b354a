"""Serves the stand-in: `python -m infra.local.supabase`."""

import uvicorn

from infra.local.supabase.app import create_app
from infra.local.supabase.config import Config


def main() -> None:
    """Serves until it is interrupted."""
    config = Config.from_environment()
    uvicorn.run(
        create_app(config),
        host="127.0.0.1",
        port=config.port,
        log_level="warning",
        server_header=False,
        access_log=False,
        timeout_keep_alive=75,  # longer than clients keep a connection that they do not use
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
