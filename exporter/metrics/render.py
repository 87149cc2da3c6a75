"""Metrics as text, rendered by prometheus_client.

Sample lines are the same in the text format and in OpenMetrics, since no sample has a timestamp or
an exemplar. Only the metadata differs.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_format

from exporter.metrics.family import Family
from exporter.metrics.image_metrics import IMAGE_LABELS, ImageView


class _SingleMetric(CollectorRegistry):
    """A registry of one metric: the renderers of prometheus_client accept only registries."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def render_registry(registry: CollectorRegistry, openmetrics: bool) -> bytes:
    """Render all metrics of a registry."""
    if openmetrics:
        return bytes(openmetrics_format.generate_latest(registry))  # type: ignore[no-untyped-call]  # it has no annotations
    return generate_latest(registry)


@cache
def render_metadata(family: Family[ImageView], openmetrics: bool) -> bytes:
    """Render the HELP and TYPE lines of a family."""
    registry = _SingleMetric(image_family(family, ())[0])
    return render_registry(registry, openmetrics).removesuffix(b"# EOF\n")


def render_samples(family: Family[ImageView], views: Sequence[ImageView]) -> list[bytes]:
    """Render the sample lines of a family for each target, in one text per target."""
    metric, counts = image_family(family, views)
    lines = generate_latest(_SingleMetric(metric)).split(b"\n")
    # The first two lines are HELP and TYPE. Line feeds within values are escaped.
    start, texts = 2, []
    for count in counts:
        texts.append(b"".join(line + b"\n" for line in lines[start : start + count]))
        start += count
    return texts


def image_family(family: Family[ImageView], views: Iterable[ImageView]) -> tuple[Metric, list[int]]:
    """Return a metric with the samples of the targets, and the number of samples of each."""
    metric = family.metric(IMAGE_LABELS)
    counts = []
    for view in views:
        start = len(metric.samples)
        for labels, value in family.points(view):
            metric.add_metric((*view.target.labels, *labels), value)
        counts.append(len(metric.samples) - start)
    return metric, counts
