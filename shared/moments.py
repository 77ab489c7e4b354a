"""A moment in a request: by ISO 8601, with any offset from UTC that can be written."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


def _iso_8601(value: object) -> object:
    """Take no number for a time: pydantic would count it as seconds since 1970."""
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError("must be a date and time with its offset, by ISO 8601")
    return value


def _in_utc(moment: datetime) -> datetime:
    """Take any offset that can be written: Postgres reads only those up to 16 hours."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie in the years 1 to 9999") from None


Moment = Annotated[
    AwareDatetime, BeforeValidator(_iso_8601, json_schema_input_type=AwareDatetime), AfterValidator(_in_utc)
]
