"""A day of scrapes of an exporter as blocks of Prometheus' database."""

import math
import multiprocessing
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from pathlib import Path

from tests.benchmarks.tsdb_block import (
    SAMPLES_PER_CHUNK,
    STALE,
    Chunk,
    Chunks,
    Labels,
    chunk,
    constant_chunk,
    write_block,
)

DAY = 86_400
SCRAPE_INTERVAL = 30
BLOCKS = (24, 6, 4, 2, 0)
"""Ages in hours at which blocks begin and end, as Prometheus would have merged them."""
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
RECORDED = re.compile(r"ALERTS|\w+:")
"""Names of series of rules, which do not have the labels of a target."""
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
GROWING = re.compile(
    r"openstack_image_exporter_\w+(?:_total|_bucket|_count|_sum|_cycle_timestamp_seconds)\{"
    "|process_cpu_seconds_total"
)
"""Series that grow between two moments; all others keep their value."""

Runs = tuple[tuple[int, float | None], ...]
"""The times from which on a series has each of its values, None if it does not exist."""

History = tuple[Labels, Runs, bool]
"""A series, its values, and whether it grows between them."""


def write_day(
    folder: Path, moments: Iterable[tuple[int, str]], end: int, target: Mapping[str, str]
) -> int:
    """Write blocks until ``end``, with the labels of the target; return the number of series.

    Args:
        folder: The folder of the database.
        moments: Times and the metrics, as text, from each of them on.
        end: Unix time of the last scrape.
        target: The labels of the target.
    """
    history: list[History] = sorted(
        (_labels(text, {} if RECORDED.match(text) else target), tuple(runs), _is_growing(text))
        for text, runs in _runs(moments).items()
    )
    fork = multiprocessing.get_context("fork")
    writers = [
        fork.Process(target=_write_block, args=(folder, number, history, end, ages))
        for number, ages in enumerate(pairwise(BLOCKS), start=1)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    return len(history)


def _write_block(
    folder: Path, number: int, history: Sequence[History], end: int, ages: tuple[int, int]
) -> None:
    """Write the block of the scrapes between two ages."""
    older, newer = (1000 * (end - 3600 * age) for age in ages)
    times = range(older, newer, 1000 * SCRAPE_INTERVAL)
    places = range(0, len(times), SAMPLES_PER_CHUNK)
    parts = [times[place : place + SAMPLES_PER_CHUNK] for place in places]
    write_block(folder, number, _series(history, parts))


def _series(history: Iterable[History], parts: Sequence[range]) -> Iterator[tuple[Labels, Chunks]]:
    """Yield each series that exists at these times, which are those of its chunks."""

    @lru_cache(200_000)
    def encoded(runs: Runs, is_growing: bool) -> Chunks | None:
        chunks = [*_chunks(parts, runs, is_growing)]
        return Chunks.of(chunks) if chunks else None

    for labels, runs, is_growing in history:
        if chunks := encoded(runs, is_growing):
            yield labels, chunks


def _runs(moments: Iterable[tuple[int, str]]) -> dict[str, list[tuple[int, float | None]]]:
    """Return each series, as text, with its values over time."""
    runs: dict[str, list[tuple[int, float | None]]] = {}
    before: set[str] = set()
    for time, text in moments:
        current = {line for line in text.splitlines() if not line.startswith("#")}
        new = dict(line.rsplit(" ", 1) for line in current - before)
        ended = {line.rsplit(" ", 1)[0] for line in before - current} - new.keys()
        for series, value in new.items():
            runs.setdefault(series, []).append((1000 * time, float(value)))
        for series in ended:
            runs[series].append((1000 * time, None))
        before = current
    return runs


def _labels(text: str, target: Mapping[str, str]) -> Labels:
    name, _, rest = text.partition("{")
    labels = {label: _unescaped(value) for label, value in LABEL.findall(rest) if value}
    return tuple(sorted({"__name__": name, **labels, **target}.items()))


def _unescaped(value: str) -> str:
    return re.sub(r"\\.", lambda match: ESCAPES[match[0]], value) if "\\" in value else value


def _is_growing(text: str) -> bool:
    return GROWING.match(text) is not None


def _chunks(parts: Sequence[range], runs: Runs, is_growing: bool) -> Iterator[Chunk]:
    """Yield the chunks of a series at these times."""
    since = [time for time, _ in runs]
    for part in parts:
        first, last = (bisect_right(since, time) - 1 for time in (part[0], part[-1]))
        value = runs[first][1] if first == last >= 0 and not is_growing else None
        if value is not None:
            yield constant_chunk(part, value)
            continue
        values = [(time, _value(runs, since, time, is_growing)) for time in part]
        for exists, group in groupby(values, lambda pair: pair[1] is not None):
            if exists:
                times, numbers = zip(*group, strict=True)
                yield chunk(times, numbers)


def _value(runs: Runs, since: Sequence[int], time: int, is_growing: bool) -> float | None:
    """Return the value that a scrape at this time finds, None without one."""
    place = bisect_right(since, time) - 1
    if place < 0:
        return None
    begin, value = runs[place]
    if value is None:
        return STALE if time - begin < 1000 * SCRAPE_INTERVAL else None
    if is_growing and place + 1 < len(runs):
        end, next_value = runs[place + 1]
        if next_value is not None:
            grown = value + (next_value - value) * (time - begin) / (end - begin)
            return math.floor(grown) if value.is_integer() else grown
    return value
