"""The cost of the scrape after all images have changed, compared with prometheus_client."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from statistics import quantiles
from urllib.parse import urlsplit

import pytest

from tests.benchmarks.report import print_table
from tests.benchmarks.scraped import Change, Scraped, scraped
from tests.support.wait import wait_until

COUNTS = (1_000, 10_000, 100_000)
MIB = 2**20
STORMS = {
    "start": Change.NOTHING,
    "nothing changed": Change.NOTHING,
    "one changed": Change.ONE,
    "all failed": Change.ALL_FAILED,
    "all recovered": Change.ALL_FOUND,
    "all expired": Change.ALL_EXPIRED,
    "all found again": Change.ALL_FOUND,
}
CHANGES_BY_POLLS = (Change.ALL_FAILED, Change.ALL_FOUND)
PAUSE_BETWEEN_HEALTH_CHECKS = 0.02


@pytest.mark.parametrize("count", COUNTS)
def test_scrape_after_all_images_changed(count: int) -> None:
    """Print the duration of the scrape that follows a change, its ratio, and the memory.

    The scrape comes at once. Changes of all images come at the rate of polls before, except
    the expiry, which is at one moment, so that the scrape renders nearly all. The rate of polls is
    that of the changes, as a ratio to a process that renders nothing meanwhile.
    """
    rows = []
    for is_gzip in (True, False):
        with scraped(count, "prometheus_client") as process:
            baseline, _ = _scrape(process, is_gzip)
            alone = {change: _time(process, change) for change in CHANGES_BY_POLLS}
        with scraped(count, "exporter") as process, _health_checks(process) as latencies:
            for name, change in STORMS.items():
                before = process.processor_seconds
                changing = _time(process, change)
                ready, _ = process.change(Change.NOTHING)
                seconds, size = _scrape(process, is_gzip)
                resident, peak = process.change(Change.NOTHING)
                used = process.processor_seconds - before
                rate = f"{alone[change] / changing:.2f}" if change in alone else ""
                rows.append(
                    (
                        f"{count:,}",
                        "gzip" if is_gzip else "plain",
                        name,
                        f"{size / MIB:.1f} MiB",
                        f"{seconds * 1e3:.0f} ms",
                        f"{baseline * 1e3:.0f} ms",
                        f"{seconds / baseline:.3f}",
                        f"{used / count * 1e6:.0f} µs",
                        f"{resident / MIB:.0f} MiB",
                        f"{(peak - ready) / MIB:.0f} MiB",
                        f"{quantiles(latencies, n=100)[98] * 1e3:.0f} ms",
                        rate,
                    )
                )
                latencies[:] = [0.0, 0.0]
    headings = (
        "images",
        "encoding",
        "change",
        "body",
        "scrape",
        "prometheus_client",
        "ratio",
        "processor time per image",
        "resident",
        "scrape adds at its peak",
        "99th percentile of /-/healthy",
        "rate of polls",
    )
    print_table("The scrape after a change of all images, over loopback", headings, rows)


def _time(process: Scraped, change: Change) -> float:
    """Return the seconds that a change takes."""
    start = time.perf_counter()
    process.change(change)
    return time.perf_counter() - start


def _scrape(process: Scraped, is_gzip: bool) -> tuple[float, int]:
    """Return the seconds from request to last byte, and the size of the body."""
    start = time.perf_counter()
    size = 0
    with closing(_connect(process.url)) as connection:
        encoding = "gzip" if is_gzip else "identity"
        connection.request("GET", "/metrics", headers={"Accept-Encoding": encoding})
        response = connection.getresponse()
        while chunk := response.read(MIB):
            size += len(chunk)
    return time.perf_counter() - start, size


@contextmanager
def _health_checks(process: Scraped) -> Iterator[list[float]]:
    """Request ``/-/healthy`` all the time, and append the durations to the list."""
    latencies = [0.0, 0.0]
    stop = threading.Event()

    def check() -> None:
        with closing(_connect(process.url)) as connection:
            while not stop.wait(PAUSE_BETWEEN_HEALTH_CHECKS):
                start = time.perf_counter()
                connection.request("GET", "/-/healthy")
                connection.getresponse().read()
                latencies.append(time.perf_counter() - start)

    thread = threading.Thread(target=check)
    thread.start()
    try:
        wait_until(lambda: len(latencies) > 2)  # the server has started
        yield latencies
    finally:
        stop.set()
        thread.join()


def _connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port)
