"""A cloud whose exposition tests compare with what prometheus_client renders."""

import zlib

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_format

from exporter.metrics.cloud_collector import CloudCollector
from exporter.metrics.exposition import Exposition
from exporter.model.cloud import CloudState
from exporter.model.outcome import Outcome
from exporter.model.target import Target
from exporter.store import Store
from tests.support.clock import FakeClock
from tests.support.reference_collector import ImageCollector

MAX_STALE = 100.0

IDS = ("one", "two", "three")


class WatchedCloud:
    """A store with three targets, its exposition, and the plain collectors to compare with."""

    def __init__(self, expect: tuple[tuple[str, object], ...] = ()) -> None:
        self.clock = FakeClock()
        self.store = Store()
        self.expect = expect
        self.targets = [
            Target("lab", image_id, f"alias {image_id}", expect=expect) for image_id in IDS
        ]
        self._added = 0
        self.store.add_cloud(CloudState("lab", 60.0), self.targets)
        self.registry = CollectorRegistry()
        self.counter = Counter("own", "Of the exporter's own.", registry=self.registry)
        Gauge("other", 'A "quoted" help\nin two lines \\.', registry=self.registry).set(1)
        self.registry.register(CloudCollector(self.store))
        self.exposition = Exposition(self.store, self.registry, self.clock)

    def poll(self, index: int, outcome: Outcome) -> None:
        """Record the outcome of a poll of one target."""
        key = self.targets[index].key
        observation = self.store.observation(key)
        self.store.observe(key, observation.with_outcome(outcome, self.clock(), MAX_STALE))

    def add_cloud(self) -> None:
        """Watch another cloud with one more target."""
        self._added += 1
        target = Target(f"cloud {self._added}", "one", "one", expect=self.expect)
        self.targets.append(target)
        self.store.add_cloud(CloudState(target.cloud, 60.0), [target])

    def replace_targets(self, removed: int, position: int) -> None:
        """Remove a target of the first cloud if there is any, and add another one."""
        first_cloud = [target for target in self.targets if target.cloud == "lab"]
        others = self.targets[len(first_cloud) :]
        if first_cloud:
            del first_cloud[removed % len(first_cloud)]
        self._added += 1
        image_id = f"added {self._added % 3}"
        if image_id not in {target.image_id for target in first_cloud}:
            target = Target("lab", image_id, f"alias {self._added}", "discovered", self.expect)
            first_cloud.insert(position % (len(first_cloud) + 1), target)
        self.store.set_targets("lab", first_cloud)
        self.targets = [*first_cloud, *others]

    def scrape(self, openmetrics: bool, compressed: bool = False) -> bytes:
        """Return the decompressed body of a scrape."""
        content = b"".join(self.exposition.body(openmetrics=openmetrics, compressed=compressed))
        if not compressed:
            return content
        decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
        decompressed = decompressor.decompress(content)
        assert decompressor.eof
        assert not decompressor.unused_data
        return decompressed

    def expected(self, openmetrics: bool) -> bytes:
        """Return what prometheus_client renders from the plain collectors."""
        registry = CollectorRegistry()
        registry.register(ImageCollector(self.store, self.clock))
        if not openmetrics:
            return generate_latest(registry) + generate_latest(self.registry)
        images: bytes = openmetrics_format.generate_latest(registry)  # type: ignore[no-untyped-call]
        own: bytes = openmetrics_format.generate_latest(self.registry)  # type: ignore[no-untyped-call]
        return images.removesuffix(b"# EOF\n") + own
