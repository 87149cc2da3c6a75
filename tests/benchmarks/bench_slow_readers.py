"""The memory of clients that request the metrics and do not read the response."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from tests.benchmarks.report import print_table
from tests.benchmarks.scraped import Change, Scraped, scraped

IMAGES = 10_000
READERS = (200, 900)
ENCODINGS = ("gzip", "identity")
RECEIVE_BUFFER = 4096
"""Bytes, the least that Linux allows: its buffers are not part of the exporter's memory."""

KIB, MIB = 2**10, 2**20
REQUEST = "GET /metrics HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: {}\r\n\r\n"
SCRAPE = "GET /metrics HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: {}\r\nConnection: close\r\n\r\n"


def test_memory_of_slow_readers() -> None:
    """Print the resident memory before slow readers connect, with them, and after they have left.

    The first column is after two scrapes that read everything.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows = []
    for encoding in ENCODINGS:
        for count in READERS:
            with scraped(IMAGES, "exporter") as process:
                for _ in range(2):
                    _scrape(process, encoding)
                before, _ = process.change(Change.NOTHING)
                with _slow_readers(process, count, encoding):
                    during, _ = process.change(Change.NOTHING)
                _scrape(process, encoding)
                after, _ = process.change(Change.NOTHING)
            sizes = (before, during, after)
            each = (during - before) / count / KIB
            resident = (f"{size / MIB:.0f} MiB" for size in sizes)
            rows.append((encoding, str(count), *resident, f"{each:.0f} KiB"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    headings = ("encoding", "readers", "before", "with them", "after", "each")
    print_table(f"Slow readers of the metrics of {IMAGES:,} images", headings, rows)


@contextmanager
def _slow_readers(process: Scraped, count: int, encoding: str) -> Iterator[None]:
    """Hold so many connections whose responses have started."""
    with ExitStack() as stack:
        readers = [stack.enter_context(_request(process, encoding)) for _ in range(count)]
        for reader in readers:
            assert reader.recv(1)
        yield


def _request(process: Scraped, encoding: str) -> socket.socket:
    parts = urlsplit(process.url)
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    reader.connect((parts.hostname, parts.port))
    reader.sendall(REQUEST.format(encoding).encode())
    return reader


def _scrape(process: Scraped, encoding: str) -> None:
    """Read the metrics to the end."""
    parts = urlsplit(process.url)
    with socket.create_connection((parts.hostname, parts.port)) as reader:
        reader.sendall(SCRAPE.format(encoding).encode())
        while reader.recv(MIB):
            pass
