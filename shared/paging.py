"""Opaque keyset cursors: the key of a page's last row, behind which the next page begins."""

import base64
import json
from typing import Final

from shared.errors import AppError

Key = str | int

_MAX_CURSOR: Final = 1000
_MAX_LENGTH: Final = 255
_MAX_INTEGER: Final = 2**63 - 1


def cursor_behind(name: str, *key: Key) -> str:
    """Return the cursor of the page behind this key, good for the list of this name only."""
    text = json.dumps([name, *key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def key_behind(name: str, cursor: str, *kinds: type[Key]) -> list[Key]:
    """Return the key of these kinds that a cursor of the list holds; raises `invalid_cursor`."""
    if len(cursor) > _MAX_CURSOR:
        raise AppError("invalid_cursor")
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        parts: list[Key] = json.loads(text)
        found, *key = parts
    except (ValueError, TypeError) as error:
        raise AppError("invalid_cursor") from error
    if found != name or [type(one) for one in key] != list(kinds) or not all(map(_is_plain, key)):
        raise AppError("invalid_cursor")
    return key


def _is_plain(key: Key) -> bool:
    if isinstance(key, int):
        return 0 <= key <= _MAX_INTEGER
    return len(key) <= _MAX_LENGTH and key.isprintable()
