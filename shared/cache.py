"""Redis, where there is one. It may be gone, slow or emptied at any time: whoever asks can do without the answer.

What is kept here is kept under a version that the database says at each reading, by the same rules by which it lets the
caller read at all. So nobody is shown what was before a write, nor what somebody may no longer see, whatever Redis
missed meanwhile; and nothing has to be told to it.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from shared.observability import log
from shared.settings import settings

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script as RedisScript

_TIMEOUT_SECONDS: Final = 0.05
_REST_SECONDS: Final = 5.0  # for which a Redis that has failed is not asked again
_KEPT_SECONDS: Final = 3600
_LARGEST_BYTES: Final = 2 * 1024 * 1024  # what is larger would not pass within the timeout
_MAKING_SECONDS: Final = 2.0  # for which others believe that somebody is making a missing entry
_PATIENCE_SECONDS: Final = 0.3  # for which they wait for it
_LOOK_AGAIN_SECONDS: Final = 0.015

_resting_until = float("-inf")


def is_there() -> bool:
    """Return whether there is a Redis that is worth asking now."""
    return settings().redis_url is not None and time.monotonic() >= _resting_until


class Script:
    """A Lua script, which Redis runs as one step that nothing comes between."""

    def __init__(self, text: str) -> None:
        self._text = text

    def run(self, keys: Sequence[str], arguments: Sequence[str | int | bytes]) -> Any | None:
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


# Returns the entry, or 1 to whoever shall make it, or 0 while somebody does.
_FIND = Script("""
local found = redis.call('GET', KEYS[1])
if found then return found end
return redis.call('SET', KEYS[2], 1, 'NX', 'PX', ARGV[1]) and 1 or 0
""")
_KEEP = Script("""
redis.call('DEL', KEYS[2])
return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
""")
_GIVE_UP = Script("return redis.call('DEL', KEYS[1])")


def key(kind: str, *parts: object) -> str:
    """Return the key of an entry: what it is, and all that determines it, its version among it."""
    digest = hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:40]
    return f"videomaker:{kind}:{{{digest}}}"


def read_through(wanted: str, make: Callable[[], tuple[str, bytes]], seconds: int = _KEPT_SECONDS) -> bytes:
    """Return the entry of this key, or what `make` returns, which is kept under the key that it returns too.

    Of those who miss the same entry at once one makes it, and the others wait for that, though not for long.
    """
    making = False
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        found = _FIND.run([wanted, _lock(wanted)], [round(1000 * _MAKING_SECONDS)])
        if isinstance(found, bytes):
            return found
        making = found == 1
        if making or found is None or time.monotonic() >= deadline:
            break
        time.sleep(_LOOK_AGAIN_SECONDS)
    try:
        made, entry = make()
    except BaseException:
        if making:
            _GIVE_UP.run([_lock(wanted)], [])
        raise
    remember(made, entry, seconds)
    if making and made != wanted:
        _GIVE_UP.run([_lock(wanted)], [])
    return entry


def remember(wanted: str, entry: bytes, seconds: int = _KEPT_SECONDS) -> None:
    """Keep an entry, if there is a Redis and it is not too large."""
    if len(entry) <= _LARGEST_BYTES:
        _KEEP.run([wanted, _lock(wanted)], [entry, 1000 * seconds])
    else:
        _GIVE_UP.run([_lock(wanted)], [])


def recall(wanted: str) -> bytes | None:
    """Return an entry that was kept, or None."""
    found = _GET.run([wanted], [])
    return found if isinstance(found, bytes) else None


_GET = Script("return redis.call('GET', KEYS[1])")


def _lock(wanted: str) -> str:
    return f"{wanted}:lock"  # the braces of the key keep both in one place of a cluster


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
