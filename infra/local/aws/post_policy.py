"""The policy of a browser's upload: what its form must be like, and how long it may be used.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from infra.local.aws.errors import S3Error, invalid_policy, violates_policy

UNCONDITIONAL: Final = {"policy", "x-amz-signature", "file"}  # and the names that begin with x-ignore-
LARGEST_UPLOAD: Final = 5 * 1024**3  # bytes of one object that is not sent in parts

_EXPIRATION: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_RANGE: Final = "content-length-range"


@dataclass(frozen=True)
class SizeRange:
    """How many bytes the file may have, both ends included."""

    lowest: int = 0
    highest: int = LARGEST_UPLOAD

    def narrowed(self, lowest: int, highest: int) -> "SizeRange":
        """The sizes that another range allows, too."""
        return SizeRange(max(self.lowest, lowest), min(self.highest, highest))

    def check(self, size: int) -> None:
        """Raises S3Error unless a file of this size is allowed."""
        if size > self.highest:
            message = "Your proposed upload exceeds the maximum allowed size"
            raise S3Error(400, "EntityTooLarge", message, ProposedSize=size, MaxSizeAllowed=self.highest)
        if size < self.lowest:
            message = "Your proposed upload is smaller than the minimum allowed size"
            raise S3Error(400, "EntityTooSmall", message, ProposedSize=size, MinSizeAllowed=self.lowest)


@dataclass(frozen=True)
class Condition:
    """One demand on the form: `operator` is `eq`, `starts-with` or `content-length-range`."""

    operator: str
    first: str | int
    second: str | int

    @property
    def field(self) -> str | None:
        """The lower-case name of the field that it is about, if it is about one."""
        name = str(self.first)
        return name[1:].lower() if self.operator != _RANGE and name.startswith("$") else None

    @property
    def sizes(self) -> SizeRange | None:
        """The range that it sets, if it sets one."""
        if self.operator != _RANGE:
            return None
        try:
            return SizeRange(int(self.first), int(self.second))
        except ValueError:
            raise self._failed() from None

    def check(self, fields: Mapping[str, str]) -> None:
        """Raises S3Error unless the form has the field with such a value; a range of sizes is not looked at."""
        if self.operator == _RANGE:
            return
        value = fields.get(self.field or "")
        if value is None or not self._allows(value):
            raise self._failed()

    def _allows(self, value: str) -> bool:
        wanted = str(self.second)
        if self.operator == "eq":
            return value == wanted
        values = value.split(",") if self.field == "content-type" else [value]
        return all(one.strip().startswith(wanted) if len(values) > 1 else one.startswith(wanted) for one in values)

    def _failed(self) -> S3Error:
        condition = json.dumps([self.operator, self.first, self.second], ensure_ascii=False)
        return violates_policy(f"Policy Condition failed: {condition}")


@dataclass(frozen=True)
class PostPolicy:
    """A policy that could be read: its conditions hold for forms that are sent before `expiration`."""

    expiration: datetime
    conditions: tuple[Condition, ...]

    @classmethod
    def parse(cls, encoded: str) -> "PostPolicy":
        """The policy in a form's field `policy`. Raises S3Error where it is none."""
        try:
            document = json.loads(base64.b64decode(encoded, validate=True))
        except ValueError:
            raise invalid_policy("Invalid JSON.") from None
        if not isinstance(document, dict):
            raise invalid_policy("Invalid JSON.")
        for name in document:
            if name not in {"expiration", "conditions"}:
                raise invalid_policy(f"Unexpected: '{name.lower()}'")
        conditions = document.get("conditions")
        if not isinstance(conditions, list):
            raise invalid_policy("Policy missing conditions.")
        return cls(_expiration(document.get("expiration")), tuple(map(_condition, conditions)))

    def check(self, fields: Mapping[str, str], now: datetime) -> SizeRange:
        """The sizes that the file may have. Raises S3Error unless the policy allows all of the form's fields.

        `fields` has lower-case names, `${filename}` replaced, and the bucket of the request as `bucket`.
        """
        if now >= self.expiration:
            raise violates_policy("Policy expired.")
        sizes = SizeRange()
        for condition in self.conditions:
            condition.check(fields)
            if own := condition.sizes:
                sizes = sizes.narrowed(own.lowest, own.highest)
        covered = {condition.field for condition in self.conditions} | UNCONDITIONAL
        if extra := [name for name in fields if name not in covered and not name.startswith("x-ignore-")]:
            raise violates_policy(f"Extra input fields: {', '.join(extra)}")
        return sizes


def _expiration(value: object) -> datetime:
    if value is None:
        raise invalid_policy("Policy missing expiration.")
    try:
        if isinstance(value, str) and _EXPIRATION.fullmatch(value):
            return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        pass
    raise invalid_policy(f"Invalid 'expiration' value: '{value}'")


def _condition(given: Any) -> Condition:
    match given:
        case dict():
            return _simple_condition(given)
        case [str(operator), first, second] if operator.lower() == _RANGE:
            return Condition(_RANGE, _size(first), _size(second))
        case [str(operator), str(name), str(value)] if operator.lower() in {"eq", "starts-with"}:
            return Condition(operator.lower(), name, value)
        case [str("eq" | "starts-with" | "content-length-range") as operator, *_]:
            raise invalid_policy(f"Invalid {operator}: wrong number of arguments.")
        case [operator, *_]:
            raise invalid_policy(f"Invalid Condition: unknown operation '{operator}'.")
    raise invalid_policy("Invalid condition test: must be a List or Object.")


def _simple_condition(given: Mapping[str, object]) -> Condition:
    if len(given) != 1:
        reason = "Simple-Conditions must have exactly one property specified."
        raise invalid_policy(f"Invalid Simple-Condition: {reason}")
    [(name, value)] = given.items()
    if not isinstance(value, str):
        raise invalid_policy("Invalid Simple-Condition: value must be a string.")
    return Condition("eq", f"${name}", value)


def _size(value: object) -> int | str:
    """A bound of a range of sizes: text is let through here, and compared later."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise invalid_policy("Invalid JSON.")
    return value
