"""The day before a benchmark of the rules, in which no series changed.

Prometheus holds the last hours in memory. So the last one is scraped, with its timestamps, and only
the rest is written as blocks.
"""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.day_history import DAY, write_day

RECENT = 58 * 60
"""Seconds in memory. Prometheus rejects a sample that is an hour older than others."""
STEP = 120
"""Seconds between samples in memory: an instant selector looks back over five minutes."""

LOOKBACK = re.compile(r"([A-Za-z_:][\w:]*)(?:\{[^}]*\})?(?:\[|\s+offset)")


def names_looked_back_at(rules: Mapping[str, Any]) -> set[str]:
    """Return the names of all series that the rules read in a range or with an offset."""
    return set(LOOKBACK.findall(yaml.safe_dump(dict(rules), width=1_000_000)))


def write_history(folder: Path, metrics: str, target: Mapping[str, str]) -> bytes:
    """Write blocks until an hour ago, and return the metrics to scrape first.

    Args:
        folder: The folder of the database.
        metrics: The series with their values, those of the target without its labels.
        target: The labels of the target.
    """
    now = int(time.time())
    write_day(folder, [(now - RECENT - DAY, metrics)], now - RECENT, target)
    lines = [f"{line} " for line in metrics.splitlines()]
    times = range(now - RECENT, now, STEP)
    return "".join(f"{1000 * at}\n".join((*lines, "")) for at in times).encode()
