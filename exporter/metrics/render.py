"""Sample lines of targets, rendered by prometheus_client.

Lines are the same in the text format and in OpenMetrics, since no sample here carries a time or
an exemplar; only the lines that introduce a family differ.
"""

from collections.abc import Iterator, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_format

from exporter.metrics.collector import image_family
from exporter.metrics.family import Family
from exporter.metrics.image_metrics import Seen


class _One(CollectorRegistry):
    """A registry of one metric, which is all that prometheus_client's renderers ask for."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


@cache
def introduction(family: Family[Seen], openmetrics: bool) -> bytes:
    """The HELP and TYPE lines of a family."""
    registry = _One(image_family(family, ())[0])
    if openmetrics:
        text = bytes(openmetrics_format.generate_latest(registry))  # type: ignore[no-untyped-call]  # it has no annotations
        return text.removesuffix(b"# EOF\n")
    return generate_latest(registry)


def lines(family: Family[Seen], views: Sequence[Seen]) -> list[bytes]:
    """For each target the family's sample lines, each ended by a line feed, in one text."""
    metric, counts = image_family(family, views)
    rendered = generate_latest(_One(metric)).split(b"\n")
    # Two lines introduce the family; line feeds within values are escaped.
    start, texts = 2, []
    for count in counts:
        texts.append(b"".join(line + b"\n" for line in rendered[start : start + count]))
        start += count
    return texts
