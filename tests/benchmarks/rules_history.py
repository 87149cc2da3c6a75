"""A day of history for Prometheus, written as blocks by ``promtool``."""

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from tests.dashboards.servers import installed

BLOCK = 2 * 3600
"""Seconds of a block."""
STEPS = ((86_400, 1_800), (3_900, 60))
"""Ages up to which there is a sample every so many seconds: few at first, to save time and disk."""
NEWEST = 15
"""Seconds between the last sample and the present. Prometheus goes on from there."""

LOOKBACK = re.compile(r"([A-Za-z_:][\w:]*)(?:\{[^}]*\})?(?:\[|\s+offset)")


def names_looked_back_at(rules: Mapping[str, Any]) -> set[str]:
    """Return the names of all series that the rules read in a range or with an offset."""
    return set(LOOKBACK.findall(yaml.safe_dump(dict(rules), width=1_000_000)))


def write_history(folder: Path, samples: Iterable[tuple[str, str]], now: float) -> int:
    """Write a day of unchanged values for these series as blocks.

    Args:
        folder: The folder of the database.
        samples: Each series as text, with its value.
        now: The present, as Unix time.

    Returns:
        The number of samples.
    """
    lines = [f"{series} {value} " for series, value in samples]
    promtool = installed("promtool", package="prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "history.txt"
    for _, times in groupby(_times(now), lambda timestamp: timestamp // BLOCK):
        with file.open("w") as output:
            for timestamp in times:
                output.write(f"{timestamp}\n".join(lines))
                output.write(f"{timestamp}\n")
            output.write("# EOF\n")
        subprocess.run(
            [promtool, "tsdb", "create-blocks-from", "openmetrics", "-q", file, folder],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    file.unlink()
    return len(lines) * len(list(_times(now)))


def _times(now: float) -> Iterator[int]:
    """Yield ascending timestamps of the last day."""
    for (oldest, step), (newest, _) in zip(STEPS, (*STEPS[1:], (NEWEST, 0)), strict=True):
        yield from range(int(now) - oldest, int(now) - newest, step)
