"""Content negotiation: exposition format and compression (RFC 9110, section 12.5).

The formats and their parameters are those of "Scrape protocol content negotiation" in the
documentation of Prometheus. ``choose_encoder`` of prometheus_client ignores weights. A header that
is invalid, or accepts none of the offered formats, is treated like a missing one: an unexpected
format is more useful to Prometheus than status 406.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"

ESCAPINGS = ("underscores", "allow-utf-8", "values")
"""Escaping schemes that leave every name of this exporter as it is; the first is the default.

The scheme ``dots`` would double each underscore. A client that requests it gets the default.
"""

_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


class Format(NamedTuple):
    """The format of a response.

    Attributes:
        content_type: The value of Content-Type.
        is_openmetrics: True for OpenMetrics, false for the text format of either version.
    """

    content_type: str
    is_openmetrics: bool


class _Range(NamedTuple):
    """One element of an Accept or Accept-Encoding header."""

    name: str
    version: str | None
    escaping: str | None
    weight: float
    position: int


class _Offer(NamedTuple):
    """A media type that the exporter serves.

    Attributes:
        name: The type and subtype.
        version: The version.
        is_default: True if it is served to a client that accepts any version of it.
        has_escaping: True if its Content-Type names the escaping scheme.
    """

    name: str
    version: str
    is_default: bool
    has_escaping: bool

    def best_range(self, ranges: list[_Range]) -> _Range | None:
        """Return the most specific range that includes this media type."""
        main_type = self.name.partition("/")[0]
        any_version = ((self.name, None), (f"{main_type}/*", None), ("*/*", None))
        for name, version in ((self.name, self.version), *(any_version if self.is_default else ())):
            for media_range in ranges:
                if (media_range.name, media_range.version) == (name, version):
                    return media_range
        return None

    def format(self, escaping: str | None) -> Format:
        """Return the format for a client that requests this escaping scheme."""
        content_type = f"{self.name}; version={self.version}; charset=utf-8"
        if self.has_escaping:
            scheme = escaping if escaping in ESCAPINGS else ESCAPINGS[0]
            content_type += f"; escaping={scheme}"
        return Format(content_type, self.name == "application/openmetrics-text")


_OFFERS = (
    _Offer("text/plain", "0.0.4", is_default=True, has_escaping=False),
    # Equal to 0.0.4, which allows the same names as the escaping schemes do.
    _Offer("text/plain", "1.0.0", is_default=False, has_escaping=True),
    _Offer("application/openmetrics-text", "1.0.0", is_default=True, has_escaping=True),
)
"""The formats. The first one is served if a client prefers several alike."""


def negotiate_format(accept: str) -> Format:
    """Return the format that an Accept header prefers, by default the text format 0.0.4.

    If weights are equal, the format named first wins.
    """
    ranges = list(_parse(accept))
    matches = [(offer, offer.best_range(ranges)) for offer in _OFFERS]
    accepted = [(offer, match) for offer, match in matches if match is not None and match.weight]
    if not accepted:
        return _OFFERS[0].format(None)
    offer, match = max(accepted, key=lambda pair: (pair[1].weight, -pair[1].position))
    return offer.format(match.escaping)


def wants_gzip(accept_encoding: str) -> bool:
    """Return true if an Accept-Encoding header accepts gzip and does not prefer no encoding."""
    weights = {coding.name: coding.weight for coding in _parse(accept_encoding)}
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _parse(header: str) -> Iterator[_Range]:
    """Parse the elements of a header, skipping those with an invalid weight."""
    for position, element in enumerate(header.split(",")):
        name, *fields = (part.strip() for part in element.split(";"))
        parameters = {}
        for field in fields:
            key, _, value = field.partition("=")
            parameters[key.strip().lower()] = value.strip().strip('"')
        weight = parameters.get("q", "1")
        if _WEIGHT.fullmatch(weight):
            version, escaping = parameters.get("version"), parameters.get("escaping")
            yield _Range(name.lower(), version, escaping, float(weight), position)
