"""Blocks that the benchmarks write, as Prometheus reads them."""

import subprocess
from pathlib import Path

from tests.benchmarks.tsdb_block import Chunks, chunk, constant_chunk, write_block

TIMES = range(1_700_000_000_000, 1_700_003_600_000, 30_000)
VALUES = {
    "constant": [1e18] * 120,
    "counter": [float(number * number) for number in range(120)],
    "fraction": [number / 7 for number in range(120)],
    "negative": [-1.5 if number % 3 else 0.0 for number in range(120)],
    "one": [42.0],
    "steps": [float(number // 50) for number in range(120)],
}


def test_prometheus_reads_the_samples_that_were_written(promtool: Path, tmp_path: Path) -> None:
    series = []
    for name, values in VALUES.items():
        labels = (("__name__", name), ("text", 'ü"\\'))
        write = constant_chunk if name == "constant" else None
        parts = [slice(0, 70), slice(70, 120)] if len(values) > 1 else [slice(0, 1)]
        chunks = [
            write(TIMES[part], values[0]) if write else chunk(TIMES[part], values[part])
            for part in parts
        ]
        series.append((labels, Chunks.of(chunks)))
    write_block(tmp_path, 1, series)
    (tmp_path / "wal").mkdir()

    process = subprocess.run(
        [promtool, "tsdb", "dump", tmp_path], capture_output=True, text=True, check=True
    )

    expected = [
        (name, value, time)
        for name, values in VALUES.items()
        for time, value in zip(TIMES, values, strict=False)
    ]
    found = []
    for line in process.stdout.splitlines():
        selector, value, time = line.rsplit(" ", 2)
        name = selector.split('"')[1]
        assert selector == f'{{__name__="{name}", text="ü\\"\\\\"}}'
        found.append((name, float(value), int(time)))
    assert sorted(found) == sorted(expected)
