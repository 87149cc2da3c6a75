"""What a scrape costs, against prometheus_client's own collector and WSGI app."""

import http.client
import time
from collections.abc import Callable
from statistics import median
from urllib.parse import urlsplit

from tests.benchmarks.report import table
from tests.benchmarks.scraped import Scraped, scraped

COUNTS = (1_000, 10_000, 100_000)
ROUNDS = 5
MIB = 2**20


def test_time_to_the_last_byte() -> None:
    """Prints the time of a scrape, with nothing and with one image changed since the last."""
    rows = []
    for count in COUNTS:
        with scraped(count) as process:
            for compressed in (False, True):
                rows.append(_row(process, count, compressed))
    table(
        "One scrape over loopback, to the last byte",
        (
            "images",
            "encoding",
            "body",
            "prometheus_client",
            "nothing changed",
            "of it",
            "one image changed",
            "of it",
            "resident",
        ),
        rows,
    )


def _row(process: Scraped, count: int, compressed: bool) -> tuple[str, ...]:
    rounds = ROUNDS if count <= 10_000 else 2
    baseline, _ = _timed(process.baseline, compressed, 1 if count > 10_000 else 3)
    _timed(process.exporter, compressed, 1)
    unchanged, size = _timed(process.exporter, compressed, rounds)
    changed, _ = _timed(process.exporter, compressed, rounds, process.change)
    return (
        f"{count:,}",
        "gzip" if compressed else "plain",
        f"{size / MIB:.1f} MiB",
        f"{baseline * 1e3:.0f} ms",
        f"{unchanged * 1e3:.1f} ms",
        f"{unchanged / baseline:.3f}",
        f"{changed * 1e3:.1f} ms",
        f"{changed / baseline:.3f}",
        f"{process.change() / MIB:.0f} MiB",
    )


def _timed(
    url: str, compressed: bool, rounds: int, before: Callable[[], object] = lambda: None
) -> tuple[float, int]:
    """Median seconds from request to last byte, and the size of the body."""
    parts = urlsplit(url)
    headers = {"Accept-Encoding": "gzip" if compressed else "identity"}
    times, size = [], 0
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    for _ in range(rounds):
        before()
        begun = time.perf_counter()
        connection.request("GET", parts.path, headers=headers)
        answer = connection.getresponse()
        size = 0
        while chunk := answer.read(2**20):
            size += len(chunk)
        times.append(time.perf_counter() - begun)
    connection.close()
    return median(times), size
