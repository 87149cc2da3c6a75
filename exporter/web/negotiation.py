"""Content negotiation: exposition format and compression (RFC 9110, section 12.5).

``choose_encoder`` of prometheus_client ignores weights. A header that is invalid, or accepts none
of the offered formats, is treated like a missing one: an unexpected format is more useful to
Prometheus than status 406.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


class _Range(NamedTuple):
    """One element of an Accept or Accept-Encoding header."""

    name: str
    version: str | None
    weight: float
    position: int


class _Offer(NamedTuple):
    """A media type that the exporter serves."""

    name: str
    version: str

    def best_range(self, ranges: list[_Range]) -> _Range | None:
        """Return the most specific range that includes this media type."""
        main_type = self.name.partition("/")[0]
        for name, version in (
            (self.name, self.version),
            (self.name, None),
            (f"{main_type}/*", None),
            ("*/*", None),
        ):
            for media_range in ranges:
                if (media_range.name, media_range.version) == (name, version):
                    return media_range
        return None


_TEXT_OFFER = _Offer("text/plain", "0.0.4")
_OPENMETRICS_OFFER = _Offer("application/openmetrics-text", "1.0.0")


def wants_openmetrics(accept: str) -> bool:
    """Return true if an Accept header prefers OpenMetrics 1.0.0 to the text format 0.0.4.

    If both weights are equal, the format named first wins.
    """
    ranges = list(_parse(accept))
    openmetrics = _OPENMETRICS_OFFER.best_range(ranges)
    text = _TEXT_OFFER.best_range(ranges)
    if openmetrics is None or openmetrics.weight == 0:
        return False
    if text is None:
        return True
    return (openmetrics.weight, -openmetrics.position) > (text.weight, -text.position)


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
            yield _Range(name.lower(), parameters.get("version"), float(weight), position)
