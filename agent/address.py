"""Network addresses in text: base URLs and IP addresses. Pure.

`urllib.parse` and `ipaddress` would do, but the agent needs so little of them that half a MiB in
every game pod is too much.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<authority>(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/:@?#\[\]]+)(:(?P<port>[0-9]{1,5}))?)"
    r"(?P<path>(/[^\s?#]*)?)",
    re.IGNORECASE,
)
_V4_LOOPBACK = 127
_V6_LOOPBACK = socket.inet_pton(socket.AF_INET6, "::1")
_V4_IN_V6 = socket.inet_pton(socket.AF_INET6, "::ffff:0.0.0.0")[:12]


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """What request paths are put behind.

    Attributes:
        text: as it was given, for people.
        host: without the brackets of an IPv6 address.
        authority: host and port as written, for the Host header.
        path: without a slash at its end.
    """

    text: str
    tls: bool
    host: str
    port: int
    authority: str
    path: str


def parse_base_url(text: str) -> BaseUrl | None:
    """Return the parts of an http(s) URL without user, query and fragment; None if it is none."""
    match = _URL.fullmatch(text)
    if match is None:
        return None
    tls = match["scheme"].lower() == "https"
    port = int(match["port"] or (443 if tls else 80))
    if not 1 <= port <= 65_535:
        return None
    host = match["host"].strip("[]")
    return BaseUrl(text, tls, host, port, match["authority"], match["path"].rstrip("/"))


def family_of(address: str) -> socket.AddressFamily | None:
    """Return the family of an IP address, None if it is none."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
        except (OSError, ValueError):
            continue
        return family
    return None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its very address, or is called localhost."""
    family = family_of(host)
    if family is None:
        return host.lower() == "localhost"
    packed = socket.inet_pton(family, host)
    if family == socket.AF_INET6 and packed.startswith(_V4_IN_V6):
        packed = packed[12:]
    return packed[0] == _V4_LOOPBACK if len(packed) == 4 else packed == _V6_LOOPBACK
