"""The cost of a scrape, compared with prometheus_client's own collector and WSGI app."""

import http.client
import re
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from statistics import median, quantiles
from urllib.parse import urlsplit

from tests.benchmarks.report import print_table
from tests.benchmarks.scraped import Scraped, is_consistent, scraped
from tests.benchmarks.server import serving

COUNTS = (1_000, 10_000, 100_000)
ROUNDS = 5
MIB = 2**20

SCRAPERS = 64
SECONDS = 20.0
PAUSE = 0.01
"""Seconds between two changes of an image during parallel scrapes."""


def test_time_to_the_last_byte() -> None:
    """Print the duration of a scrape after no change and after a change of one image."""
    rows = []
    for count in COUNTS:
        rounds = ROUNDS if count <= 10_000 else 2
        with scraped(count, "prometheus_client") as process:
            baselines = [
                _measure(process, compressed, 3 if count <= 10_000 else 1)[0]
                for compressed in (False, True)
            ]
        with scraped(count, "exporter") as process:
            for compressed, baseline in zip((False, True), baselines, strict=True):
                rows.append(_row(process, count, compressed, baseline, rounds))
    headings = (
        "images",
        "encoding",
        "body",
        "prometheus_client",
        "nothing changed",
        "ratio",
        "one image changed",
        "ratio",
        "resident",
        "peak of the last scrape",
    )
    print_table("One scrape over loopback, to the last byte", headings, rows)


def _row(
    process: Scraped, count: int, compressed: bool, baseline: float, rounds: int
) -> tuple[str, ...]:
    _measure(process, compressed, 1)
    unchanged, size = _measure(process, compressed, rounds)
    changed, _ = _measure(process, compressed, rounds, process.change)
    resident, peak = process.change()
    return (
        f"{count:,}",
        "gzip" if compressed else "plain",
        f"{size / MIB:.1f} MiB",
        f"{baseline * 1e3:.0f} ms",
        f"{unchanged * 1e3:.1f} ms",
        f"{unchanged / baseline:.3f}",
        f"{changed * 1e3:.1f} ms",
        f"{changed / baseline:.3f}",
        f"{resident / MIB:.0f} MiB",
        f"{peak / MIB:.0f} MiB",
    )


def _connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port)


def _measure(
    process: Scraped, compressed: bool, rounds: int, before: Callable[[], object] = lambda: None
) -> tuple[float, int]:
    """Return the median seconds from request to last byte, and the size of the body."""
    headers = {"Accept-Encoding": "gzip" if compressed else "identity"}
    times, size = [], 0
    with closing(_connect(process.url)) as connection:
        for _ in range(rounds):
            before()
            start = time.perf_counter()
            connection.request("GET", "/metrics", headers=headers)
            response = connection.getresponse()
            size = 0
            while chunk := response.read(2**20):
                size += len(chunk)
            times.append(time.perf_counter() - start)
    return median(times), size


def test_many_scrapers_at_once() -> None:
    """Print the duration of parallel scrapes while all images are polled and change.

    No scrape may fail or contain inconsistent values of an image.
    """
    count = 1_000
    times: list[float] = []
    bodies: list[bytes] = []
    errors: list[str] = []
    stop = threading.Event()
    with serving(count) as service, scraped(count, service) as process:
        scrapers = [
            threading.Thread(target=_scrape, args=(process.url, stop, times, bodies, errors))
            for _ in range(SCRAPERS)
        ]
        polls = _successful_polls(process.url)
        start = time.monotonic()
        for scraper in scrapers:
            scraper.start()
        changes, peak = 0, 0.0
        while time.monotonic() < start + SECONDS:
            peak = max(peak, process.change()[1])
            changes += 1
            stop.wait(PAUSE)
        stop.set()
        for scraper in scrapers:
            scraper.join()
        rate = (_successful_polls(process.url) - polls) / (time.monotonic() - start)
        resident, _ = process.change()
    errors += [error for body in bodies for error in _inconsistencies(body, count)]
    middle, last = median(times), quantiles(times, n=100)[98]
    row = (
        f"{len(times):,}",
        f"{len(errors)}",
        f"{middle * 1e3:.0f} ms",
        f"{last * 1e3:.0f} ms",
        f"{last / middle:.1f}",
        f"{max(times) * 1e3:.0f} ms",
        f"{rate:.0f}/s",
        f"{changes / SECONDS:.0f}/s",
        f"{resident / MIB:.0f} MiB",
        f"{peak / MIB:.0f} MiB",
    )
    headings = (
        "scrapes",
        "failed or inconsistent",
        "median",
        "99th percentile",
        "times the median",
        "longest",
        "successful polls",
        "changes",
        "resident",
        "peak",
    )
    title = f"{SCRAPERS} scrapers at once for {SECONDS:.0f} s, {count:,} images, gzip, polled"
    print_table(title, headings, [row])
    assert errors == []


def _scrape(
    url: str, stop: threading.Event, times: list[float], bodies: list[bytes], errors: list[str]
) -> None:
    """Scrape until stopped, and record durations and bodies.

    The bodies are checked later, because that would take processor time from the measured code.
    """
    with closing(_connect(url)) as connection:
        while not stop.is_set():
            start = time.perf_counter()
            try:
                connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                errors.append(repr(error))
                return
            times.append(time.perf_counter() - start)
            if response.status == 200:
                bodies.append(body)
            else:
                errors.append(f"status {response.status}")


def _inconsistencies(compressed: bytes, count: int) -> list[str]:
    """Check a body for gzip errors, repeated families, and values of different observations."""
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
    plain = decompressor.decompress(compressed)
    if not decompressor.eof or decompressor.unused_data:
        return ["not one gzip member"]
    families = Counter(part.split()[0] for part in plain.split(b"\n# TYPE ")[1:])
    sizes, virtual_sizes = (
        _values(plain, b"openstack_image_size_bytes"),
        _values(plain, b"openstack_image_virtual_size_bytes"),
    )
    errors = [f"{name!r} appears {times} times" for name, times in families.items() if times > 1]
    if len(sizes) != count:
        errors.append(f"{len(sizes)} images instead of {count}")
    return errors + [
        f"values of different observations of {labels!r}"
        for labels, size in sizes.items()
        if not is_consistent(size, virtual_sizes.get(labels))
    ]


def _values(plain: bytes, family: bytes) -> dict[bytes, float]:
    """Return a family's values by their labels; nothing if a series is repeated."""
    begin = plain.index(b"# TYPE %s gauge\n" % family)
    lines = plain[begin : plain.index(b"\n# HELP ", begin)].split(b"\n")[1:]
    values = {
        labels: float(value) for labels, _, value in (line.rpartition(b" ") for line in lines)
    }
    by_labels = {labels.removeprefix(family): value for labels, value in values.items()}
    return by_labels if len(by_labels) == len(lines) else {}


def _successful_polls(url: str) -> float:
    """Return the number of successful polls."""
    with closing(_connect(url)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    polls, failures = (
        sum(float(value) for value in re.findall(rf"^{name}{{.*}} (.*)$", text, re.MULTILINE))
        for name in (
            "openstack_image_exporter_polls_total",
            "openstack_image_exporter_poll_failures_total",
        )
    )
    return polls - failures
