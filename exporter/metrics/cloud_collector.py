"""Metrics of clouds for prometheus_client: their collector, and a selection of clouds."""

from collections.abc import Collection, Iterable, Iterator
from copy import copy

from prometheus_client import CollectorRegistry
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


class SelectedClouds(CollectorRegistry):
    """A registry without the samples of clouds that are not selected.

    It keeps samples without the label ``cloud``, such as those of the process: the rules need the
    number of shards beside the metrics of clouds.
    """

    def __init__(self, registry: CollectorRegistry, clouds: Collection[str]) -> None:
        super().__init__()
        self._registry = registry
        self._labels = frozenset((None, *clouds))

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics with their current samples."""
        for metric in self._registry.collect():
            selected = copy(metric)
            selected.samples = [
                sample for sample in metric.samples if sample.labels.get("cloud") in self._labels
            ]
            yield selected
