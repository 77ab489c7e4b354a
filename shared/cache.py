"""Redis, where there is one. It may be gone, slow or emptied at any time: whoever asks can do without the answer."""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from shared.observability import log
from shared.settings import settings

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script as RedisScript

_TIMEOUT_SECONDS: Final = 0.05
_REST_SECONDS: Final = 5.0  # for which a Redis that has failed is not asked again

_resting_until = float("-inf")


def is_there() -> bool:
    """Return whether there is a Redis that is worth asking now."""
    return settings().redis_url is not None and time.monotonic() >= _resting_until


class Script:
    """A Lua script, which Redis runs as one step that nothing comes between."""

    def __init__(self, text: str) -> None:
        self._text = text

    def run(self, keys: Sequence[str], arguments: Sequence[str | int]) -> Any | None:
        """Return what the script returns, or None where Redis does not answer within 50 ms."""
        global _resting_until  # noqa: PLW0603  # one Redis, one rest
        if not is_there():
            return None
        # Imported here: it costs a cold start 170 ms, and most deployments have no Redis.
        from redis.exceptions import RedisError  # noqa: PLC0415

        try:
            return _registered(settings().redis_url or "", self._text)(keys, arguments)
        except (RedisError, OSError) as error:
            _resting_until = time.monotonic() + _REST_SECONDS
            log("cache_failed", error=error)
            return None


@lru_cache(maxsize=16)
def _registered(url: str, text: str) -> "RedisScript":
    return _client(url).register_script(text)


@lru_cache(maxsize=1)
def _client(url: str) -> "Redis":
    from redis import Redis  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.exceptions import ConnectionError as BrokenConnectionError  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    return Redis.from_url(
        url,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        # One more try where the other side had closed an idle connection; none where it is slow.
        retry=Retry(NoBackoff(), 1, supported_errors=(BrokenConnectionError,)),
        protocol=2,  # with the third it would say more at each connection than it asks
    )
