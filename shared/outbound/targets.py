"""Which addresses may be posted to: those of the public internet, by HTTPS."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

from shared.settings import settings

_URL: Final = re.compile(r"https?://[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]{1,2000}")
_NAME: Final = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,62}")

# What IANA has set aside: it leads inside, nowhere, or to many; and the one of Azure's host.
_CLOSED_V4: Final = [
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip
# Of IPv6 what is handed out to the public, so neither loopback, private, link-local and multicast addresses, nor IPv4
# ones in disguise (mapped, NAT64); and of that not Teredo, 6to4 and documentation.
_OPEN_V6: Final = ipaddress.IPv6Network("2000::/3")
_CLOSED_V6: Final = [
    ipaddress.IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]


@dataclass(frozen=True, slots=True)
class Target:
    """An address in parts, so that what was checked is what is used; `netloc` is host and port as they were written."""

    scheme: str
    netloc: str
    host: str
    port: int
    path: str


def target_of(url: str) -> Target:
    """Return the parts of an address that may be posted to; raises ValueError, for the client, where it may not.

    Where a name leads is not known yet: that is judged at the moment of connecting.
    """
    if not _URL.fullmatch(url):
        raise ValueError("must be an https:// URL of at most 2000 ASCII characters, without a fragment")
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password")
    if parts.scheme != "https" and not settings().webhook_allow_private:
        raise ValueError("must begin with https://")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.netloc, _checked_host(parts), _checked_port(parts), path)


def _checked_host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        if not (_NAME.fullmatch(host) or (host == "localhost" and settings().webhook_allow_private)):
            raise ValueError("must name a public host") from None
        return host
    if "%" in address or not may_be_reached(address):
        raise ValueError("must not lead to a private address")
    return host


def _checked_port(parts: SplitResult) -> int:
    """Return the port. Below 1024 it is that of HTTPS: behind the others there is no receiver."""
    try:
        port = parts.port
    except ValueError:
        raise ValueError("must have a valid port") from None
    if port is None:
        return 443 if parts.scheme == "https" else 80
    if port != 443 and port < 1024:
        raise ValueError("must have the port 443, or one from 1024")
    return port


def _deliverable(url: str) -> str:
    target_of(url)
    return url


WebhookUrl = Annotated[str, AfterValidator(_deliverable)]
"""A field of a model that holds an address to post to."""


def may_be_reached(address: str) -> bool:
    """Return whether an IP address belongs to the public internet, or the operator allows all."""
    if settings().webhook_allow_private:
        return True
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv4Address):
        return not any(found in network for network in _CLOSED_V4)
    return found in _OPEN_V6 and not any(found in network for network in _CLOSED_V6)
