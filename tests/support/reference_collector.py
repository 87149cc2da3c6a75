"""Plain collectors of a store, which the exposition rendered on change must equal."""

from collections.abc import Callable, Iterable
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from exporter.metrics.cloud_collector import CloudCollector
from exporter.metrics.image_metrics import IMAGE_FAMILIES, IMAGE_LABELS
from exporter.metrics.images.view import view_of
from exporter.model.cloud import CloudState
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.target import Target
from exporter.store import Store
from tests.support.images import START


class ImageCollector(Collector):
    """Yields one metric for each row of ``IMAGE_FAMILIES``, also without samples."""

    def __init__(self, store: Store, now: Callable[[], Instant]) -> None:
        self._store = store
        self._now = now

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        return (family.metric(IMAGE_LABELS) for family in IMAGE_FAMILIES)

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics with their current samples."""
        now = self._now()
        views = [
            view_of(target, observation, now) for target, observation in self._store.observations()
        ]
        for row in IMAGE_FAMILIES:
            family = row.for_views(views)
            metric = family.metric(IMAGE_LABELS)
            for view in views:
                family.add_samples(metric, view)
            yield metric


class StoreCollector(Collector):
    """Yields the metrics of all images and clouds in a store."""

    def __init__(self, store: Store, now: Callable[[], Instant]) -> None:
        self._collectors = (ImageCollector(store, now), CloudCollector(store))

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        return chain.from_iterable(collector.describe() for collector in self._collectors)

    def collect(self) -> Iterable[Metric]:
        """Return the metrics with their current samples."""
        return chain.from_iterable(collector.collect() for collector in self._collectors)


def store_registry(
    *observations: tuple[Target, Observation], now: Instant = START, cloud: CloudState | None = None
) -> CollectorRegistry:
    """Return a registry with the metrics of these targets of one cloud at ``now``."""
    store = Store()
    store.add_cloud(cloud or CloudState("lab", 60.0), [target for target, _ in observations])
    for target, observation in observations:
        store.observe(target.key, observation)
    registry = CollectorRegistry(auto_describe=True)
    registry.register(StoreCollector(store, lambda: now))
    return registry
