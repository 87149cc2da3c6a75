"""The cost of one shard of several, and the evenness of the distribution of images."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from statistics import quantiles
from uuid import UUID

from exporter.clock import now
from exporter.metrics.exposition import Exposition
from exporter.model.outcome import Gone
from exporter.model.sharding import Shard, owning_shard
from tests.benchmarks.bench_cycle import MIB, peak
from tests.benchmarks.polling import running_application
from tests.benchmarks.report import print_table
from tests.benchmarks.server import serving

IMAGES = 100_000
TOTALS = (1, 2, 4)
SETS = 200
SET_SIZE = 10_000
MAX_STALE = 900.0
INTERVAL = 600.0
"""Seconds, so that the first cycle polls every image on a slow machine, too."""


def test_one_shard_of_several() -> None:
    """Print the cost of the first shard by number of shards, each in a process of its own."""
    rows = []
    with serving(IMAGES) as url:
        for total in TOTALS:
            command = [sys.executable, "-m", "tests.benchmarks.bench_shards", url, str(total)]
            result = subprocess.run(command, check=True, capture_output=True, text=True)
            figures = json.loads(result.stdout)
            rows.append(
                (
                    f"{total}",
                    f"{figures['images']:,}",
                    f"{figures['cycle']:.1f} s",
                    f"{figures['processor']:.1f} s",
                    f"{figures['body'] / MIB:.0f} MiB",
                    f"{figures['compressed'] / MIB:.1f} MiB",
                    f"{figures['scrape'] * 1e3:.0f} ms",
                    f"{figures['peak'] / MIB:.0f} MiB",
                )
            )
    headings = (
        "shards",
        "images of the first",
        "first cycle",
        "its processor time",
        "body",
        "gzip",
        "rendered after a change",
        "peak resident",
    )
    print_table(f"One shard of {IMAGES:,} images, by API v1, without latency", headings, rows)


def test_distribution() -> None:
    """Print the deviation of three shards from a third, and the share that a fourth one moves."""
    random_source = random.Random(0)
    deviations, moved = [], []
    for _ in range(SETS):
        names = [str(UUID(int=random_source.getrandbits(128), version=4)) for _ in range(SET_SIZE)]
        before = [owning_shard(name, 3) for name in names]
        sizes = Counter(before)
        deviations.append(max(abs(sizes[index] / SET_SIZE * 3 - 1) for index in range(3)))
        after = [owning_shard(name, 4) for name in names]
        moved.append(sum(old != new for old, new in zip(before, after, strict=True)) / SET_SIZE)
    rows = [
        (name, f"{quantiles(values, n=2)[0]:.1%}", f"{max(values):.1%}")
        for name, values in (
            ("largest deviation from a third", deviations),
            ("moved by a fourth shard", moved),
        )
    ]
    title = f"Three shards over {SET_SIZE:,} images, {SETS} sets of random IDs"
    print_table(title, ("", "median", "maximum"), rows)


def main(url: str, total: int) -> None:
    """Poll and render the first shard of ``total`` once, and print the figures."""
    with running_application(url, IMAGES, Shard(0, total), interval=INTERVAL) as application:
        (poller,) = application.pollers
        wall, processor = time.perf_counter(), time.process_time()
        poller.run_cycle()
        cycle, processor = time.perf_counter() - wall, time.process_time() - processor
        exposition = Exposition(application.store, application.exporter_metrics.registry, now)
        sizes = [
            sum(map(len, exposition.body(openmetrics=True, compressed=compressed)))
            for compressed in (False, True)
        ]
        target, observation = application.store.observations()[0]
        application.store.observe(target.key, observation.with_outcome(Gone(), now(), MAX_STALE))
        start = time.perf_counter()
        exposition.body(openmetrics=True, compressed=True)
        figures = {
            "images": len(poller.targets),
            "cycle": cycle,
            "processor": processor,
            "body": sizes[0],
            "compressed": sizes[1],
            "scrape": time.perf_counter() - start,
            "peak": peak(),
        }
        print(json.dumps(figures))  # noqa: T201  # read by the parent process


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
