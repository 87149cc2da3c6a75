"""The processor time of rendering an image that has changed.

``python -m tests.benchmarks.bench_render COUNT`` prints the seconds of each change.
"""

import json
import subprocess
import sys
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
from exporter.process import collect_garbage_rarely
from exporter.store import Store
from tests.benchmarks.images import image_ids, realistic
from tests.benchmarks.report import print_table
from tests.support.clock import FakeClock

COUNTS = (10_000, 100_000)
ROUNDS = 5
MAX_STALE = 900.0


class RenderedImages:
    """Images whose metrics are rendered on demand."""

    def __init__(self, count: int) -> None:
        self.ids = image_ids(count)
        self.targets = [Target("bench", image_id, image_id) for image_id in self.ids]
        self.clock = FakeClock()
        self.store = Store()
        self.store.add_cloud(CloudState("bench", 60.0), self.targets)
        # The exposition renders what it has at its start.
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
    rows = []
    for count in COUNTS:
        command = [sys.executable, "-m", "tests.benchmarks.bench_render", str(count)]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        rows += [
            (f"{count:,}", name, f"{median(times) * 1e6:.1f} µs", f"{min(times) * 1e6:.1f} µs")
            for name, times in json.loads(result.stdout).items()
        ]
    headings = ("images", "change", "processor time per image", "minimum")
    print_table(f"Rendering and compressing all images, {ROUNDS} rounds", headings, rows)


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


def main(count: int) -> None:
    """Print the seconds per image of each change in each round."""
    collect_garbage_rarely()
    images = RenderedImages(count)
    one = [Found(realistic(image_id, number)) for number, image_id in enumerate(images.ids)]
    other = [
        Found(_different(realistic(image_id, count + number)))
        for number, image_id in enumerate(images.ids)
    ]
    failed = [Failed("timeout")] * count
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
    seconds: dict[str, list[float]] = {"first": [images.render()]}
    for _ in range(ROUNDS):
        for name, change in changes.items():
            change()
            seconds.setdefault(name, []).append(images.render())
    print(json.dumps(seconds))  # noqa: T201  # read by the parent process


if __name__ == "__main__":
    main(int(sys.argv[1]))
