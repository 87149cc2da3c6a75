"""The processor time of rendering, per image that has changed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

from prometheus_client import CollectorRegistry

from exporter.metrics.exposition import Exposition
from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.outcome import Failed, Found, Outcome
from exporter.model.target import Target
from exporter.store import Store
from tests.benchmarks.images import image_ids, realistic
from tests.benchmarks.report import print_table
from tests.support.clock import FakeClock

IMAGES = 10_000
ROUNDS = 9
MAX_STALE = 900.0


class RenderedImages:
    """Images whose metrics are rendered on demand."""

    def __init__(self, count: int) -> None:
        self.ids = image_ids(count)
        self.targets = [Target("bench", image_id, image_id) for image_id in self.ids]
        self.clock = FakeClock()
        self.store = Store()
        self.store.add_cloud(CloudState("bench", 60.0), self.targets)
        self.exposition = Exposition(self.store, CollectorRegistry(), self.clock)

    def poll(self, outcomes: Sequence[Outcome]) -> None:
        """Record the outcome of a poll of each image."""
        self.clock.advance(60.0)
        for target, outcome in zip(self.targets, outcomes, strict=True):
            before = self.store.observation(target.key)
            self.store.observe(target.key, before.with_outcome(outcome, self.clock(), MAX_STALE))

    def expire(self) -> None:
        """Advance the clock until all values have expired."""
        self.clock.advance(MAX_STALE + 1)

    def render(self) -> float:
        """Render all that has changed, and return the processor time per image."""
        start = time.process_time()
        while self.exposition.render_group():
            pass
        return (time.process_time() - start) / len(self.ids)


def test_processor_time_per_image() -> None:
    """Print the processor time of each change of all images, including compression.

    All polls of a round change all images: first every attribute is another, then polls fail and
    succeed, then all values expire and are found again.
    """
    images = RenderedImages(IMAGES)
    one = [Found(realistic(image_id, number)) for number, image_id in enumerate(images.ids)]
    other = [
        Found(_different(realistic(image_id, IMAGES + number)))
        for number, image_id in enumerate(images.ids)
    ]
    failed = [Failed("timeout")] * IMAGES
    changes: dict[str, Callable[[], None]] = {
        "all attributes changed": lambda: images.poll(other),
        "and changed back": lambda: images.poll(one),
        "poll failed": lambda: images.poll(failed),
        "poll succeeded": lambda: images.poll(one),
        "values expired": images.expire,
        "values found again": lambda: images.poll(one),
        "nothing changed": lambda: images.poll(one),
    }
    images.poll(one)
    images.render()
    seconds: dict[str, list[float]] = {name: [] for name in changes}
    for _ in range(ROUNDS):
        for name, change in changes.items():
            change()
            seconds[name].append(images.render())
    rows = [
        (name, f"{median(times) * 1e6:.1f} µs", f"{min(times) * 1e6:.1f} µs")
        for name, times in seconds.items()
    ]
    title = f"Rendering and compressing {IMAGES:,} images, {ROUNDS} rounds"
    print_table(title, ("change", "processor time per image", "minimum"), rows)


def _different(image: Image) -> Image:
    """Return the image with other values in all attributes that are equal in all images."""
    return replace(
        image,
        status="deactivated",
        protected=False,
        public=True,
        container_format="ovf",
        disk_format="raw",
        min_disk_bytes=2**33,
        min_ram_bytes=2**30,
    )
