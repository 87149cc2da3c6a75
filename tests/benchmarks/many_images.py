"""A real Prometheus with the rules, and a day of scrapes of many images."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.cloud_day import CloudDay
from tests.benchmarks.day_history import SCRAPE_INTERVAL, write_day
from tests.dashboards.alert_table import RULES
from tests.dashboards.servers import DATA, Prometheus, prometheus
from tests.support.wait import wait_until

JOB = "openstack-images"
PATIENCE = 300.0
FLAGS = ("--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h")
"""Keep Prometheus from merging the blocks of the history while it is measured."""


@contextmanager
def many_images(folder: Path, count: int) -> Iterator[Prometheus]:
    """Run a Prometheus with a day of history, which goes on scraping the images."""
    end = int(time.time())
    day = CloudDay(count, end)
    with _exporter(day) as port:
        target = {"job": JOB, "instance": f"127.0.0.1:{port}"}
        write_day(folder / DATA, day.moments(), end, target)
        settings = {
            "global": {"scrape_interval": f"{SCRAPE_INTERVAL}s", "scrape_timeout": "25s"},
            "scrape_configs": [
                {"job_name": JOB, "static_configs": [{"targets": [target["instance"]]}]}
            ],
        }
        rules = yaml.safe_load(RULES.read_text("utf-8"))
        with prometheus(folder, settings, rules, FLAGS) as server:
            scraped = f'count_over_time(up{{job="{JOB}"}}[{2 * SCRAPE_INTERVAL}s]) > 1'
            wait_until(lambda: server.query(scraped), PATIENCE, pause=1)
            yield server


class _Exporter(ThreadingHTTPServer):
    def __init__(self, day: CloudDay) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.day = day


class _Handler(BaseHTTPRequestHandler):
    server: _Exporter

    def do_GET(self) -> None:
        body = self.server.day.body()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def _exporter(day: CloudDay) -> Iterator[int]:
    """Serve the present metrics, and yield the port."""
    with _Exporter(day) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
