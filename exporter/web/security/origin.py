"""Requests that another site made a browser send: cross-site requests and DNS rebinding.

A browser inside the network reaches an exporter that an attacker cannot reach. It sends the
requests of any page that its user opens, and it takes the exporter for that page's own server if
the attacker's domain resolves to the exporter's address.
"""

import ipaddress
import re
from collections.abc import Collection, Mapping

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing. No other site can read their responses."""

OWN_SITES = frozenset({b"same-origin", b"none"})
"""Values of Sec-Fetch-Site of the exporter's own pages, and of what the user types."""

ALWAYS_ALLOWED = "localhost"

_HOST = re.compile(rb"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]*)?")
"""A name or an address with an optional port; an IPv6 address is in brackets."""


def is_cross_site(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return True if a page of another origin sent a request that changes something.

    Browsers send Sec-Fetch-Site to HTTPS servers, and Origin with each such request. Programs such
    as curl send neither.
    """
    if method in SAFE_METHODS:
        return False
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site.lower() not in OWN_SITES
    origin = headers.get(b"origin")
    if origin is None:
        return False
    authority = _authority(origin)
    return not authority or authority != headers.get(b"host", b"").lower()


def is_allowed_host(host: bytes | None, allowed: Collection[str]) -> bool:
    """Return True if the header Host, with or without a port, names an allowed host.

    Addresses and ``localhost`` are always allowed: only a domain can be pointed elsewhere. A
    request without the header does not come from a browser.
    """
    if not allowed or host is None:
        return True
    name = _host_name(host)
    return name == ALWAYS_ALLOWED or name in allowed or _is_address(name)


def _authority(origin: bytes) -> bytes:
    """Return host and port of an origin; empty for ``null`` and for anything else."""
    _, separator, authority = origin.lower().partition(b"://")
    return authority if separator else b""


def _host_name(host: bytes) -> str:
    """Return the host without its port; empty for anything but a host and a port."""
    match = _HOST.fullmatch(host.lower())
    return "" if match is None else match[1].decode("ascii").strip("[]").removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
