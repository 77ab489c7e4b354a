"""What must never be written down, known by how it looks: the second fence, behind the fixed names of fields."""

import re
from collections.abc import Mapping
from typing import Any, Final

MARK: Final = "[redacted]"

_LONGEST: Final = 500
_MOST: Final = 50
_SECRETS: Final = (
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JSON Web Token
    r"|\bvm_[a-z0-9]+_[\w-]+"  # an API key
    r"|\bwhsec_[\w+/=-]+"  # the secret of a webhook
    r"|\bsb_secret_[\w-]+"  # a service key of Supabase
    r"|\bguest_[0-9a-f]{32}"  # the id of a guest, which is its secret
    r"|\b(?:Bearer|Basic)\s+[\w.~+/=-]+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user and password of an address
    r"|(?<=\?)\S+"  # the query of an address, in which signatures and tokens lie
    r"|data:[\w/+.-]+;base64,[\w+/=]*"
)
_PLAIN: Final = 36
_BEGIN_OF_SECRETS: Final = ("vm_", "whsec_", "sb_", "guest_", "eyj")


def redact(value: Any) -> Any:
    """Return a value as it may be written: without what looks like a secret, and not too long."""
    match value:
        case str():
            return value if _is_plain(value) else re.sub(_SECRETS, MARK, value[:_LONGEST], flags=re.IGNORECASE)
        case bool() | int() | float() | None:
            return value
        case Mapping():
            return {redact(str(name)): redact(one) for name, one in list(value.items())[:_MOST]}
        case list() | tuple():
            return [redact(one) for one in value[:_MOST]]
    return redact(str(value))


def _is_plain(text: str) -> bool:
    """Whether it is a code or a UUID: to look at these must cost a cold start no regular expression."""
    word = text.replace("-", "").replace("_", "")
    return len(text) <= _PLAIN and word.isalnum() and not text.lower().startswith(_BEGIN_OF_SECRETS)
