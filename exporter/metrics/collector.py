"""The metrics of the store, as a collector of prometheus_client: the plain way to read it."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter.metrics.cloud_metrics import CLOUD_FAMILIES, CLOUD_LABELS
from exporter.metrics.family import Family, Subject_contra
from exporter.metrics.image_metrics import IMAGE_FAMILIES, IMAGE_LABELS, ImageView, view_of
from exporter.model.instant import Instant
from exporter.store import Store

KINDS: dict[str, Callable[[str, str, Sequence[str]], GaugeMetricFamily | CounterMetricFamily]] = {
    "gauge": lambda name, help_text, labels: GaugeMetricFamily(name, help_text, labels=labels),
    "counter": lambda name, help_text, labels: CounterMetricFamily(name, help_text, labels=labels),
}


class ImageCollector(Collector):
    """Yields one family for each row of the table of image families, empty ones included.

    For the store of one image the exposition reads::

        # HELP openstack_image_exists Whether the image exists and is visible to these ...
        # TYPE openstack_image_exists gauge
        openstack_image_exists{cloud="otc-de",image="golden",image_id="3c3d1d01-..."} 1.0

    The daemon serves the same from memory, see ``web.exposition``; this is what that must equal.
    """

    def __init__(self, store: Store, now: Callable[[], Instant]) -> None:
        self._store = store
        self._now = now

    def describe(self) -> Iterable[Metric]:
        """The families without samples."""
        return (image_family(family, ())[0] for family in IMAGE_FAMILIES)

    def collect(self) -> Iterable[Metric]:
        """Every family with its samples at this moment."""
        now = self._now()
        views = [
            view_of(target, observation, now) for target, observation in self._store.observations()
        ]
        return (image_family(family, views)[0] for family in IMAGE_FAMILIES)


class CloudCollector(Collector):
    """Yields one family for each row of the table of cloud families, empty ones included."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> Iterable[Metric]:
        """The families without samples."""
        return (_empty(family, CLOUD_LABELS) for family in CLOUD_FAMILIES)

    def collect(self) -> Iterable[Metric]:
        """Every family with its samples at this moment."""
        clouds = self._store.clouds()
        for family in CLOUD_FAMILIES:
            metric = _empty(family, CLOUD_LABELS)
            for cloud in clouds:
                for labels, value in family.points(cloud):
                    metric.add_metric((cloud.name, *labels), value)
            yield metric


class StoreCollector(Collector):
    """Yields all families of images and of clouds: the whole store, the plain way."""

    def __init__(self, store: Store, now: Callable[[], Instant]) -> None:
        self._parts = (ImageCollector(store, now), CloudCollector(store))

    def describe(self) -> Iterable[Metric]:
        """The families without samples."""
        return chain.from_iterable(part.describe() for part in self._parts)

    def collect(self) -> Iterable[Metric]:
        """Every family with its samples at this moment."""
        return chain.from_iterable(part.collect() for part in self._parts)


def image_family(family: Family[ImageView], views: Iterable[ImageView]) -> tuple[Metric, list[int]]:
    """A family with the samples of these targets, and how many each of them has."""
    metric = _empty(family, IMAGE_LABELS)
    counts = []
    for view in views:
        before = len(metric.samples)
        for labels, value in family.points(view):
            metric.add_metric((*view.target.labels, *labels), value)
        counts.append(len(metric.samples) - before)
    return metric, counts


def _empty(
    family: Family[Subject_contra], labels: tuple[str, ...]
) -> GaugeMetricFamily | CounterMetricFamily:
    return KINDS[family.kind](family.name, family.help, (*labels, *family.labels))
