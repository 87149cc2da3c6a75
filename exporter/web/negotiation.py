"""What a client would rather have: which exposition format, and whether compressed.

By RFC 9110, section 12.5. prometheus_client's ``choose_encoder`` does not read weights. A header
that makes no sense, or accepts nothing that there is, gets what a client without one gets: a
Prometheus scrape is better answered than refused.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


class _Range(NamedTuple):
    name: str
    version: str | None
    weight: float
    place: int


class _Offer(NamedTuple):
    name: str
    version: str

    def range_of(self, ranges: list[_Range]) -> _Range | None:
        """The most specific range that this offer falls in."""
        kind = self.name.partition("/")[0]
        for name, version in (
            (self.name, self.version),
            (self.name, None),
            (f"{kind}/*", None),
            ("*/*", None),
        ):
            for each in ranges:
                if (each.name, each.version) == (name, version):
                    return each
        return None


_TEXT_OFFER = _Offer("text/plain", "0.0.4")
_OPENMETRICS_OFFER = _Offer("application/openmetrics-text", "1.0.0")


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header prefers OpenMetrics 1.0.0 to the text format 0.0.4.

    Of equal weights, the one named first wins.
    """
    ranges = list(_ranges(accept))
    openmetrics, text = (each.range_of(ranges) for each in (_OPENMETRICS_OFFER, _TEXT_OFFER))
    if openmetrics is None or openmetrics.weight == 0:
        return False
    if text is None:
        return True
    return (openmetrics.weight, -openmetrics.place) > (text.weight, -text.place)


def wants_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header takes gzip, and no less gladly than no encoding."""
    weights = {each.name: each.weight for each in _ranges(accept_encoding)}
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _ranges(header: str) -> Iterator[_Range]:
    for place, element in enumerate(header.split(",")):
        name, *rest = (part.strip() for part in element.split(";"))
        parameters = {}
        for each in rest:
            key, _, value = each.partition("=")
            parameters[key.strip().lower()] = value.strip().strip('"')
        weight = parameters.get("q", "1")
        if _WEIGHT.fullmatch(weight):
            yield _Range(name.lower(), parameters.get("version"), float(weight), place)
