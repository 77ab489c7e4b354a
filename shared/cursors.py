"""Opaque cursors of lists: each stands behind one row, which it names by its number."""

import base64
import binascii

from shared.errors import AppError


def cursor_behind(kind: str, number: int) -> str:
    """Return the cursor of the page behind the row of this number in a list of this kind."""
    return base64.urlsafe_b64encode(f"{kind}:{number}".encode()).decode().rstrip("=")


def number_behind(kind: str, cursor: str) -> int:
    """Return the number of the row that a cursor stands behind; raises `invalid_cursor`."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise AppError("invalid_cursor") from error
    name, _, number = text.partition(":")
    if name != kind or not number.isascii() or not number.isdigit() or len(number) > 18:
        raise AppError("invalid_cursor")
    return int(number)
