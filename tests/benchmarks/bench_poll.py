"""The cost of one poll, compared with the cost of the request alone in other clients."""

import http.client
import time
from collections.abc import Callable, Sequence
from statistics import median
from urllib.parse import urlsplit

import requests
import urllib3

from tests.benchmarks.images import image_ids
from tests.benchmarks.polling import running_application
from tests.benchmarks.report import print_table
from tests.benchmarks.server import serving

POLLS = 2000
ROUNDS = 3
SPREAD_OVER = 12.0
"""Seconds. This is the rate of 10,000 images per minute."""


def test_cost_of_a_poll() -> None:
    """Print processor time and rate of one poll, as ratios to a loop with ``requests``.

    A poll includes sending, receiving, parsing, observing and storing, with as many threads as
    the daemon uses. The other clients send the requests one after the other and parse nothing.
    """
    ids = image_ids(POLLS)
    with (
        serving(POLLS) as url,
        running_application(url, POLLS, interval=SPREAD_OVER) as application,
    ):
        (poller,) = application.pollers
        poller.run_cycle()
        clients: dict[str, Callable[[], object]] = {
            "requests": lambda: _requests(url, ids),
            "urllib3": lambda: _urllib3(url, ids),
            "http.client": lambda: _http_client(url, ids),
            "exporter, first cycle": lambda: _first_cycle(url),
            "exporter, later cycle": poller.run_cycle,
        }
        cost: dict[str, list[tuple[float, float]]] = {name: [] for name in clients}
        for _ in range(ROUNDS):
            for name, run in clients.items():
                cost[name].append(_measure(run))
    base = [sum(column) for column in zip(*cost["requests"], strict=True)]
    rows = []
    for name, figures in cost.items():
        processor, wall = (median(column) / POLLS for column in zip(*figures, strict=True))
        ratio, wall_ratio = (
            sum(column) / total
            for column, total in zip(zip(*figures, strict=True), base, strict=True)
        )
        cells = (
            f"{processor * 1e6:.0f} µs",
            f"{ratio:.2f}",
            f"{1 / wall:.0f}/s",
            f"{1 / wall_ratio:.1f}",
        )
        rows.append((name, *cells))
    print_table(
        f"One HEAD of an image, {POLLS} images, {ROUNDS} rounds, loopback",
        ("client", "processor time", "of requests", "rate", "times requests"),
        rows,
    )


def _measure(run: Callable[[], object]) -> tuple[float, float]:
    processor, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - processor, time.perf_counter() - wall


def _first_cycle(url: str) -> None:
    with running_application(url, POLLS) as application:
        application.pollers[0].run_cycle()


def _requests(url: str, ids: Sequence[str]) -> None:
    with requests.Session() as session:
        for image_id in ids:
            session.head(f"{url}/v1/images/{image_id}", headers={"X-Auth-Token": "token"})


def _urllib3(url: str, ids: Sequence[str]) -> None:
    with urllib3.PoolManager() as pool:
        for image_id in ids:
            pool.request("HEAD", f"{url}/v1/images/{image_id}", headers={"X-Auth-Token": "token"})


def _http_client(url: str, ids: Sequence[str]) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    for image_id in ids:
        connection.request("HEAD", f"/v1/images/{image_id}", headers={"X-Auth-Token": "token"})
        connection.getresponse().read()
    connection.close()
