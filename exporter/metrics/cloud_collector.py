"""Collector of the clouds' metrics for prometheus_client."""

from collections.abc import Iterable

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from exporter.metrics.cloud_metrics import CLOUD_FAMILIES, CLOUD_LABELS
from exporter.store import Store


class CloudCollector(Collector):
    """Yields one metric for each row of ``CLOUD_FAMILIES``, also without samples."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        return (family.metric(CLOUD_LABELS) for family in CLOUD_FAMILIES)

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics with their current samples."""
        clouds = self._store.clouds()
        for family in CLOUD_FAMILIES:
            metric = family.metric(CLOUD_LABELS)
            for cloud in clouds:
                family.add_samples(metric, cloud)
            yield metric
