"""What a scrape costs, against prometheus_client's own collector and WSGI app."""

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

from tests.benchmarks.report import table
from tests.benchmarks.scraped import Scraped, is_whole, scraped
from tests.benchmarks.server import serving

COUNTS = (1_000, 10_000, 100_000)
ROUNDS = 5
MIB = 2**20

SCRAPERS = 64
SECONDS = 20.0
PAUSE = 0.01
"""Seconds between two changes while many scrape."""


def test_time_to_the_last_byte() -> None:
    """Prints the time of a scrape, with nothing and with one image changed since the last."""
    rows = []
    for count in COUNTS:
        rounds = ROUNDS if count <= 10_000 else 2
        with scraped(count, "prometheus_client") as process:
            baselines = [
                _timed(process, compressed, 3 if count <= 10_000 else 1)[0]
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
        "of it",
        "one image changed",
        "of it",
        "resident",
        "peak",
    )
    table("One scrape over loopback, to the last byte", headings, rows)


def _row(
    process: Scraped, count: int, compressed: bool, baseline: float, rounds: int
) -> tuple[str, ...]:
    _timed(process, compressed, 1)
    unchanged, size = _timed(process, compressed, rounds)
    changed, _ = _timed(process, compressed, rounds, process.change)
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


def _connected(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port)


def _timed(
    process: Scraped, compressed: bool, rounds: int, before: Callable[[], object] = lambda: None
) -> tuple[float, int]:
    """Median seconds from request to last byte, and the size of the body."""
    headers = {"Accept-Encoding": "gzip" if compressed else "identity"}
    times, size = [], 0
    with closing(_connected(process.url)) as connection:
        for _ in range(rounds):
            before()
            begun = time.perf_counter()
            connection.request("GET", "/metrics", headers=headers)
            answer = connection.getresponse()
            size = 0
            while chunk := answer.read(2**20):
                size += len(chunk)
            times.append(time.perf_counter() - begun)
    return median(times), size


def test_many_scrapers_at_once() -> None:
    """Prints how long scrapes take when many come at once, while all images are being polled.

    Images change all the while. No scrape fails, and none shows half of an image.
    """
    count = 1_000
    times: list[float] = []
    bodies: list[bytes] = []
    errors: list[str] = []
    over = threading.Event()
    with serving(count) as service, scraped(count, service) as process:
        scrapers = [
            threading.Thread(target=_scrape, args=(process.url, over, times, bodies, errors))
            for _ in range(SCRAPERS)
        ]
        answered = _answered(process.url)
        begun = time.monotonic()
        for each in scrapers:
            each.start()
        until = begun + SECONDS
        changes = 0
        while time.monotonic() < until:
            process.change()
            changes += 1
            over.wait(PAUSE)
        over.set()
        for each in scrapers:
            each.join()
        rate = (_answered(process.url) - answered) / (time.monotonic() - begun)
        resident, peak = process.change()
    wrong = errors + [fault for body in bodies for fault in _torn(body, count)]
    middle, last = median(times), quantiles(times, n=100)[98]
    row = (
        f"{len(times):,}",
        f"{len(wrong)}",
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
        "failed or torn",
        "median",
        "99th percentile",
        "times the median",
        "longest",
        "polls answered",
        "changes",
        "resident",
        "peak",
    )
    title = f"{SCRAPERS} scrapers at once for {SECONDS:.0f} s, {count:,} images, gzip, polled"
    table(title, headings, [row])
    assert wrong == []


def _scrape(
    url: str, over: threading.Event, times: list[float], bodies: list[bytes], errors: list[str]
) -> None:
    """Scrapes again and again, and notes how long each took and what came.

    Looking at the bodies has to wait: it would take the processor away from what is measured.
    """
    with closing(_connected(url)) as connection:
        while not over.is_set():
            begun = time.perf_counter()
            try:
                connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                errors.append(repr(error))
                return
            times.append(time.perf_counter() - begun)
            if answer.status == 200:
                bodies.append(body)
            else:
                errors.append(f"status {answer.status}")


def _torn(packed: bytes, count: int) -> list[str]:
    """What is wrong with an answer: its packing, a family that stands twice, half an image."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    plain = unpacker.decompress(packed)
    if not unpacker.eof or unpacker.unused_data:
        return ["not one gzip member"]
    families = Counter(part.split()[0] for part in plain.split(b"\n# TYPE ")[1:])
    sizes, virtual_sizes = (
        _values(plain, b"openstack_image_size_bytes"),
        _values(plain, b"openstack_image_virtual_size_bytes"),
    )
    wrong = [f"{name!r} stands {times} times" for name, times in families.items() if times > 1]
    if len(sizes) != count:
        wrong.append(f"{len(sizes)} images instead of {count}")
    return wrong + [
        f"half of {labels!r}"
        for labels, size in sizes.items()
        if not is_whole(size, virtual_sizes.get(labels))
    ]


def _values(plain: bytes, family: bytes) -> dict[bytes, float]:
    """A family's values by their labels; of an image that stands twice there is none."""
    begin = plain.index(b"# TYPE %s gauge\n" % family)
    lines = plain[begin : plain.index(b"\n# HELP ", begin)].split(b"\n")[1:]
    values = {
        labels: float(value) for labels, _, value in (line.rpartition(b" ") for line in lines)
    }
    by_labels = {labels.removeprefix(family): value for labels, value in values.items()}
    return by_labels if len(by_labels) == len(lines) else {}


def _answered(url: str) -> float:
    """Polls that got an answer so far."""
    with closing(_connected(url)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    polls, failures = (
        sum(float(each) for each in re.findall(rf"^{name}{{.*}} (.*)$", text, re.MULTILINE))
        for name in (
            "openstack_image_exporter_polls_total",
            "openstack_image_exporter_poll_failures_total",
        )
    )
    return polls - failures
