"""The day before a benchmark of the rules, in which no series changed.

Prometheus holds the last hours in memory. So the last one is scraped, with its timestamps, and only
the rest is written as blocks.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.day_history import DAY, write_day

RECENT = 3570
"""Seconds in memory. Prometheus rejects a sample that is an hour older than others."""
STEP = 120
"""Seconds between samples in memory: an instant selector looks back over five minutes."""
SAMPLES = 600_000
"""Samples that Prometheus reads in a scrape in time."""

LOOKBACK = re.compile(r"([A-Za-z_:][\w:]*)(?:\{[^}]*\})?(?:\[|\s+offset)")


def names_looked_back_at(rules: Mapping[str, Any]) -> set[str]:
    """Return the names of all series that the rules read in a range or with an offset."""
    return set(LOOKBACK.findall(yaml.safe_dump(dict(rules), width=1_000_000)))


def write_history(folder: Path, metrics: str, target: Mapping[str, str]) -> Iterator[bytes]:
    """Write blocks until an hour ago, and return the bodies of the first scrapes.

    Args:
        folder: The folder of the database.
        metrics: The series with their values, those of the target without its labels.
        target: The labels of the target.
    """
    end = int(time.time()) - RECENT
    write_day(folder, [(end - DAY, metrics)], end, target)
    return _bodies([f"{line} " for line in metrics.splitlines()])


def _bodies(lines: Sequence[str]) -> Iterator[bytes]:
    """Yield the samples of the time until the first of these bodies is read."""
    now = int(time.time())
    times = range(now - RECENT, now, STEP)
    at_once = max(SAMPLES // len(lines), 1)
    for start in range(0, len(times), at_once):
        part = times[start : start + at_once]
        yield "".join(f"{1000 * at}\n".join((*lines, "")) for at in part).encode()
