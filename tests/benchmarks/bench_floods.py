"""Health checks and scrapes of one client while another floods the exporter with connections."""

import http.client
import ssl
import statistics
import time
from contextlib import closing
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks.flood import Variant, flooding
from tests.benchmarks.report import print_table
from tests.benchmarks.scraped import scraped
from tests.support.web_config import TLS, WebConfigFolder

IMAGES = 10_000
CONNECTIONS = 1200
SECONDS = 8.0
PAUSE = 0.1
CLIENT = "127.0.0.3"
WANTED = 0.5
"""Seconds in which each health check and each scrape is wanted."""

TIMEOUT = 10.0
PATHS = ("/-/healthy", "/metrics")


def test_responses_during_floods(tmp_path: Path) -> None:
    """Print the time of health checks and scrapes, each on a connection of its own."""
    folder = WebConfigFolder(tmp_path)
    web_config = folder.write(f"{TLS}}}")
    rows = []
    for variant in Variant:
        uses_tls = variant is Variant.HANDSHAKE
        with scraped(IMAGES, "exporter", web_config if uses_tls else None) as process:
            port = urlsplit(process.url).port
            assert port is not None
            _measure(port, PATHS[1], uses_tls=uses_tls)
            with flooding(port, CONNECTIONS, variant) as flood:
                times = _measure_all(port, uses_tls=uses_tls)
        row = [variant.value, f"{flood.opened / SECONDS:.0f}/s"]
        for path in PATHS:
            worst, median = max(times[path]), statistics.median(times[path])
            row += [f"{median * 1000:.0f} ms", f"{worst * 1000:.0f} ms"]
        late = [seconds for path in PATHS for seconds in times[path] if seconds > WANTED]
        rows.append([*row, f"{len(late)} of {sum(map(len, times.values()))}"])
    headings = ("flood", "opened", "health", "worst", "scrape", "worst", "over 500 ms")
    title = f"Responses during floods of {CONNECTIONS:,} connections, {IMAGES:,} images"
    print_table(title, headings, rows)


def _measure_all(port: int, *, uses_tls: bool) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {path: [] for path in PATHS}
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for path in PATHS:
            times[path].append(_measure(port, path, uses_tls=uses_tls))
            time.sleep(PAUSE)
    return times


def _measure(port: int, path: str, *, uses_tls: bool) -> float:
    """Return the time of a request, or the time until it failed but at least the timeout."""
    started = time.monotonic()
    try:
        with closing(_connection(port, uses_tls=uses_tls)) as connection:
            connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
            response = connection.getresponse()
            response.read()
        assert response.status == http.client.OK
    except OSError:
        return TIMEOUT
    return time.monotonic() - started


def _connection(port: int, *, uses_tls: bool) -> http.client.HTTPConnection:
    source = (CLIENT, 0)
    if not uses_tls:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT, source_address=source)
    return http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=TIMEOUT, source_address=source, context=_unverified()
    )


@cache
def _unverified() -> ssl.SSLContext:
    """Return the client's TLS context; to load the CAs for each request would take its time."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
