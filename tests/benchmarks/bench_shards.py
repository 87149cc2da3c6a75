"""What one shard of several costs, and how evenly images are shared out."""

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
from tests.benchmarks.polling import built
from tests.benchmarks.report import table
from tests.benchmarks.server import serving

IMAGES = 100_000
TOTALS = (1, 2, 4)
SETS = 200
OF_A_SET = 10_000
MAX_STALE = 900.0


def test_one_shard_of_several() -> None:
    """Prints what the first of so many shards needs, each in a process of its own."""
    rows = []
    with serving(IMAGES) as url:
        for total in TOTALS:
            command = [sys.executable, "-m", "tests.benchmarks.bench_shards", url, str(total)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures = json.loads(done.stdout)
            rows.append(
                (
                    f"{total}",
                    f"{figures['images']:,}",
                    f"{figures['cycle']:.1f} s",
                    f"{figures['processor']:.1f} s",
                    f"{figures['body'] / MIB:.0f} MiB",
                    f"{figures['packed'] / MIB:.1f} MiB",
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
    table(f"One shard of {IMAGES:,} images, by API v1, without latency", headings, rows)


def test_shares() -> None:
    """Prints how far three shards are from a third, and how much a fourth one moves."""
    dice = random.Random(0)
    apart, moved = [], []
    for _ in range(SETS):
        names = [str(UUID(int=dice.getrandbits(128), version=4)) for _ in range(OF_A_SET)]
        before = [owning_shard(name, 3) for name in names]
        sizes = Counter(before)
        apart.append(max(abs(sizes[index] / OF_A_SET * 3 - 1) for index in range(3)))
        after = [owning_shard(name, 4) for name in names]
        moved.append(sum(old != new for old, new in zip(before, after, strict=True)) / OF_A_SET)
    rows = [
        (what, f"{quantiles(each, n=2)[0]:.1%}", f"{max(each):.1%}")
        for what, each in (("furthest from a third", apart), ("moved by a fourth", moved))
    ]
    title = f"Three shards over {OF_A_SET:,} images, {SETS} sets of random IDs"
    table(title, ("", "median", "most"), rows)


def main(url: str, total: int) -> None:
    """Polls the first of so many shards once, renders it, and prints the figures."""
    with built(url, IMAGES, Shard(0, total)) as parts:
        (poller,) = parts.pollers
        wall, processor = time.perf_counter(), time.process_time()
        poller.run_cycle()
        cycle, processor = time.perf_counter() - wall, time.process_time() - processor
        exposition = Exposition(parts.store, parts.exporter_metrics.registry, now)
        sizes = [exposition.body(openmetrics=True, compressed=each).size for each in (False, True)]
        target, observation = parts.store.observations()[0]
        parts.store.observe(target.key, observation.with_outcome(Gone(), now(), MAX_STALE))
        begun = time.perf_counter()
        exposition.body(openmetrics=True, compressed=True)
        figures = {
            "images": len(poller.targets),
            "cycle": cycle,
            "processor": processor,
            "body": sizes[0],
            "packed": sizes[1],
            "scrape": time.perf_counter() - begun,
            "peak": peak(),
        }
        print(json.dumps(figures))  # noqa: T201  # that is how the parent learns of it


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
