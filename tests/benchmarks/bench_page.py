"""The time to the first byte of the page, and its size."""

import http.client
import time
from collections.abc import Callable
from contextlib import closing
from statistics import median
from urllib.parse import urlsplit

from tests.benchmarks.report import print_table
from tests.benchmarks.scraped import scraped

COUNTS = (100, 1_000, 10_000, 100_000)
ROUNDS = 9
PATHS = ("/", "/?q=ab&sort=size&order=desc")
"""The page as it opens, and with a search in all names and another order."""


def test_first_byte_of_the_page() -> None:
    """Print the duration until the first byte of the page, each after a change of an image."""
    rows = []
    for count in COUNTS:
        with scraped(count, "exporter") as process:
            first, found = (_first_byte(process.url, path, process.change) for path in PATHS)
        rows.append((count, *first, found[0]))
    base = rows[0][1]
    cells = [
        (
            f"{count:,}",
            f"{seconds * 1e3:.0f} ms",
            f"{seconds / base:.1f}",
            f"{search * 1e3:.0f} ms",
            f"{size / 1000:.0f} KB",
        )
        for count, seconds, size, search in rows
    ]
    headings = ("images", "first byte", "ratio", "first byte of a search", "page")
    print_table("The page, to its first byte", headings, cells)


def _first_byte(url: str, path: str, change: Callable[[], object]) -> tuple[float, int]:
    """Return the median seconds from request to first byte, and the size of the page."""
    parts = urlsplit(url)
    times, size = [], 0
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port)) as connection:
        for _ in range(ROUNDS):
            change()
            start = time.perf_counter()
            connection.request("GET", path, headers={"Accept-Encoding": "identity"})
            response = connection.getresponse()
            first = response.read(1)
            times.append(time.perf_counter() - start)
            assert response.status == 200
            size = len(first) + len(response.read())
    return median(times), size
