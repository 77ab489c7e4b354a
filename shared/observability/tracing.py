"""The trace that a request is part of, as X-Ray and as the W3C write it: both name the same 128 bits."""

import os
from dataclasses import dataclass
from typing import Self


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
        version, _, root = fields.get("Root", "").partition("-")
        if version != "1" or root[8:9] != "-" or not _is_hex(found := root[:8] + root[9:], 32):
            return None
        parent = fields.get("Parent", "")
        sampled = {"1": True, "0": False}.get(fields.get("Sampled", ""))
        return cls(found, parent if _is_hex(parent, 16) else None, sampled)

    @classmethod
    def of_traceparent(cls, header: str | None) -> Self | None:
        """Read a `traceparent` (https://www.w3.org/TR/trace-context/); None where it is none."""
        version, found, parent, flags = [*(header or "")[:256].split("-"), "", "", ""][:4]
        if version == "ff" or not all(map(_is_hex, (version, found, parent, flags), (2, 32, 16, 2))):
            return None
        return cls(found, parent, bool(int(flags, 16) & 1)) if int(found, 16) and int(parent, 16) else None

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
        return f"00-{self.id}-{self.parent or os.urandom(8).hex()}-{int(bool(self.sampled)):02x}"


def _is_hex(text: str, length: int) -> bool:
    """Whether it is so many digits, in lower case; regular expressions would be compiled at each cold start."""
    return len(text) == length and not text.strip("0123456789abcdef")
