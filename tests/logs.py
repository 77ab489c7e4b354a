"""What functions write: their log lines, taken where they leave."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from shared.settings import telemetry


class Lines(logging.Handler):
    """Every line that was logged since, parsed where it is one of ours."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text: list[str] = []
        self.records: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(self.format(record))
        if record.name == "videomaker":
            self.records.append(json.loads(record.getMessage()))

    def named(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of one event."""
        return [one for one in self.records if one["event"] == event]

    def functions_of(self, request_id: str) -> list[str]:
        """Return which functions have ended an invocation for this request, in that order."""
        return [one["function"] for one in self.named("invocation") if one["requestId"] == request_id]

    @property
    def measured(self) -> list[dict[str, Any]]:
        """The lines that metrics are made of."""
        return [one for one in self.records if "_aws" in one]


@pytest.fixture
def logged() -> Iterator[Lines]:
    """Lines of our own log, and of all others."""
    lines = Lines()
    loggers = [logging.getLogger("videomaker"), logging.getLogger()]
    for one in loggers:
        one.addHandler(lines)
    yield lines
    for one in loggers:
        one.removeHandler(lines)


@pytest.fixture
def told_to(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Variables of telemetry that are set through this hold at once."""
    setenv = monkeypatch.setenv

    def set_and_read(name: str, value: str, prepend: str | None = None) -> None:
        setenv(name, value, prepend)
        telemetry.cache_clear()

    monkeypatch.setattr(monkeypatch, "setenv", set_and_read)
    telemetry.cache_clear()
    yield monkeypatch
    telemetry.cache_clear()
