"""A real Prometheus that scrapes a simple server of metrics."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from tests.dashboards.servers import Prometheus, prometheus

JOB = "openstack-images"
FLAGS = ("--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h")
"""Keep Prometheus from merging the blocks of a history while it is measured."""

WITHOUT_TARGET = [
    {"source_labels": ["__name__"], "regex": r"\w+:.+", "target_label": label, "replacement": ""}
    for label in ("instance", "job")
]
"""Remove the labels of the target from series of records that are scraped, as of the past."""


class MetricsServer(ThreadingHTTPServer, ABC):
    """Serves metrics on a port of its own.

    Attributes:
        scrapes: Number of requests until now.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scrapes = 0

    @property
    def instance(self) -> str:
        """Return its address, as in the label ``instance``."""
        return f"127.0.0.1:{self.server_port}"

    @abstractmethod
    def body(self) -> bytes:
        """Return the present metrics."""


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer

    def do_GET(self) -> None:
        body = self.server.body()
        self.server.scrapes += 1
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


Server = TypeVar("Server", bound=MetricsServer)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Serve in a thread until the block ends."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def monitoring(
    folder: Path, exporter: MetricsServer, rules: Mapping[str, Any], scrape: str, evaluation: str
) -> AbstractContextManager[Prometheus]:
    """Run a Prometheus with these rules and intervals, and its files in this folder."""
    settings = {
        "global": {
            "scrape_interval": scrape,
            "scrape_timeout": scrape,
            "evaluation_interval": evaluation,
        },
        "scrape_configs": [
            {
                "job_name": JOB,
                "static_configs": [{"targets": [exporter.instance]}],
                "metric_relabel_configs": WITHOUT_TARGET,
            }
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    return prometheus(folder, settings, rules, FLAGS)
