"""Secrets, planted wherever something can be sent, and a search for them in all that leaves a function."""

import io
import logging
import secrets
import traceback
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from shared.observability.fields import FIELDS
from shared.observability.metrics import UNITS
from tests.logs import Lines
from tests.sentry import Tracker, tracking

WRITTEN = FIELDS | set(UNITS) | {"_aws", "stage"}


class Garden:
    """What was planted, and all output since: log lines of any logger, both standard streams, and the tracker's."""

    def __init__(self, lines: Lines, tracker: Tracker, streams: pytest.CaptureFixture[str]) -> None:
        self.lines, self.tracker = lines, tracker
        self._streams = streams
        self._planted: dict[str, str] = {}
        self._raised = io.StringIO()

    def plant(self, where: str = "somewhere") -> str:
        """Return a new secret."""
        return self.note(f"S3CR3T{secrets.token_hex(12)}", where)

    def note(self, secret: str | None, where: str) -> str:
        """Take something real for a secret."""
        assert secret and len(secret) >= 8
        self._planted[secret] = where
        return secret

    def raised(self, error: BaseException) -> None:
        """Take what a handler raised for output: Lambda's runtime writes it into the log."""
        traceback.print_exception(error, file=self._raised)

    @property
    def output(self) -> str:
        """Everything until now."""
        seen = self._streams.readouterr()
        self._raised.write(seen.out + seen.err)
        return "\n".join([*self.lines.text, self.tracker.text, self._raised.getvalue()])

    def assert_buried(self, *, measured: int = 1) -> None:
        """None was written, though so many invocations were, and all lines are of fields that have a name."""
        output = self.output
        assert {where for secret, where in self._planted.items() if secret in output} == set()
        assert self._planted
        assert len(self.lines.measured) >= measured
        for record in self.lines.records:
            assert record.keys() <= WRITTEN


@pytest.fixture
def garden(logged: Lines, told_to: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Garden]:
    """Nothing planted yet; failures are told to a tracker, and every logger says all that it has to say at INFO."""
    root = logging.getLogger()
    level, root_level = root.level, logging.INFO
    root.setLevel(root_level)
    with tracking(told_to) as tracker, warnings.catch_warnings():
        warnings.simplefilter("always")
        yield Garden(logged, tracker, capfd)
    root.setLevel(level)


def filled(  # noqa: PLR0911  # one for each kind
    schema: Mapping[str, Any], document: Mapping[str, Any], garden: Garden, *, fitting: bool, name: str = ""
) -> Any:
    """Return a value with secrets in it for a JSON Schema; `fitting` its types, or of text throughout."""
    if "$ref" in schema:
        found = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return filled(found, document, garden, fitting=fitting, name=name)
    options = [one for one in schema.get("anyOf", schema.get("oneOf", [])) if one.get("type") != "null"]
    if options:
        return filled(options[0], document, garden, fitting=fitting, name=name)
    if "allOf" in schema:
        return filled(schema["allOf"][0], document, garden, fitting=fitting, name=name)
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return {
            key: filled(one, document, garden, fitting=fitting, name=key)
            for key, one in schema.get("properties", {}).items()
        } | {garden.plant("the name of a field"): garden.plant("an unknown field")}
    if kind == "array":
        return [filled(schema.get("items", {}), document, garden, fitting=fitting, name=name)]
    if fitting and kind in ("integer", "number"):
        return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    if fitting and kind == "boolean":
        return False
    if fitting and ("enum" in schema or "const" in schema):
        return schema.get("enum", [schema.get("const")])[0]
    if fitting and schema.get("format") in ("uuid", "date-time"):
        return {"uuid": "0b0e7c1e-6f0a-4b7e-8a56-0f0f5a3d9b11", "date-time": "2030-01-01T00:00:00Z"}[schema["format"]]
    return garden.plant(f"the field {name}")
