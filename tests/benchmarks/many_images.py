"""A real Prometheus with the rules, and a day of scrapes of many images."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.benchmarks.cloud_day import CloudDay
from tests.benchmarks.day_history import SCRAPE_INTERVAL, write_day
from tests.benchmarks.monitored import JOB, MetricsServer, monitoring, serving
from tests.dashboards.alert_table import RULES
from tests.dashboards.servers import DATA, Prometheus
from tests.support.wait import wait_until

PATIENCE = 300.0


@contextmanager
def many_images(folder: Path, count: int) -> Iterator[Prometheus]:
    """Run a Prometheus with a day of history, which goes on scraping the images."""
    end = int(time.time())
    day = CloudDay(count, end)
    with serving(_Exporter(day)) as exporter:
        target = {"job": JOB, "instance": exporter.instance}
        write_day(folder / DATA, day.moments(), end, target)
        rules = yaml.safe_load(RULES.read_text("utf-8"))
        with monitoring(folder, exporter, rules, f"{SCRAPE_INTERVAL}s", "1m") as server:
            scraped = f'count_over_time(up{{job="{JOB}"}}[{2 * SCRAPE_INTERVAL}s]) > 1'
            wait_until(lambda: server.query(scraped), PATIENCE, pause=1)
            yield server


class _Exporter(MetricsServer):
    def __init__(self, day: CloudDay) -> None:
        super().__init__()
        self._day = day

    def body(self) -> bytes:
        return self._day.body()
