"""The trace that a request is part of, as X-Ray and as the W3C write it: both name the same 128 bits."""

import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

_ROOT: Final = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_PARENT: Final = re.compile(r"[0-9a-f]{16}")
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace: its id and that of the span which led here, hexadecimal; `sampled` is None where nobody has decided."""

    id: str
    parent: str | None
    sampled: bool | None

    @classmethod
    def of_xray(cls, header: str | None) -> Self | None:
        """Read an `X-Amzn-Trace-Id`; None where it is none."""
        fields = dict(part.strip().partition("=")[::2] for part in (header or "")[:256].split(";"))
        root = _ROOT.fullmatch(fields.get("Root", ""))
        if root is None:
            return None
        parent = fields.get("Parent", "")
        sampled = {"1": True, "0": False}.get(fields.get("Sampled", ""))
        return cls(root[1] + root[2], parent if _PARENT.fullmatch(parent) else None, sampled)

    @classmethod
    def of_traceparent(cls, header: str | None) -> Self | None:
        """Read a `traceparent` (https://www.w3.org/TR/trace-context/); None where it is none."""
        found = _TRACEPARENT.fullmatch((header or "")[:256])
        if found is None or not (int(found[1], 16) and int(found[2], 16)):
            return None
        return cls(found[1], found[2], bool(int(found[3], 16) & 1))

    @property
    def xray_id(self) -> str:
        """The id as X-Ray shows it."""
        return f"1-{self.id[:8]}-{self.id[8:]}"

    @property
    def xray(self) -> str:
        """The value of `X-Amzn-Trace-Id` that carries it on."""
        parent = f";Parent={self.parent}" if self.parent else ""
        sampled = "" if self.sampled is None else f";Sampled={int(self.sampled)}"
        return f"Root={self.xray_id}{parent}{sampled}"

    @property
    def traceparent(self) -> str:
        """The value of `traceparent` that carries it on."""
        return f"00-{self.id}-{self.parent or secrets.token_hex(8)}-{int(bool(self.sampled)):02x}"
