"""The queries of the dashboards, in a real Prometheus with the rules and a day of many images.

``DASHBOARD_IMAGES=1000,50000`` selects other numbers of images than 10,000. Every query is sent as
Grafana sends it, with the defaults of all variables, for the default time range and for a day.
"""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.benchmarks.day_history import SCRAPE_INTERVAL
from tests.benchmarks.many_images import many_images
from tests.benchmarks.report import print_table
from tests.dashboards.grafana import (
    Request,
    TimeRange,
    default_of,
    request_of_variable,
    requests_of,
)
from tests.dashboards.queries import boards
from tests.dashboards.servers import Prometheus

COUNTS = [int(count) for count in os.environ.get("DASHBOARD_IMAGES", "10000").split(",")]
RANGES = (6 * 3600, 24 * 3600)
ROUNDS = 3
SEARCH = {"search": "ubuntu", "find": "ubuntu"}
"""A text that the aliases of every sixth image contain."""
SLOW, MANY = 2.0, 300
"""Seconds of a query, and number of its series, that are too many."""
HEADINGS = (
    "dashboard",
    "query",
    *(f"{part}, {hours // 3600} h" for hours in RANGES for part in ("seconds", "samples")),
    "series",
)


Query = tuple[str, str]
"""A dashboard, and an element of it."""


class Cost(NamedTuple):
    """The cost of a query: median seconds until the response is read, samples, and series."""

    seconds: float
    samples: int
    series: int


def test_cost_of_the_queries(tmp_path: Path) -> None:
    """Print the cost of every query, the slowest first, and those that exceed a limit."""
    for count in COUNTS:
        with many_images(tmp_path / str(count), count) as server:
            costs = [dict(_costs(server, duration)) for duration in RANGES]
        slowest = sorted(costs[0], key=lambda query: -max(cost[query].seconds for cost in costs))
        rows = [_row(query, [cost[query] for cost in costs]) for query in slowest]
        title = f"{count:,} images, scraped every {SCRAPE_INTERVAL} s for a day"
        print_table(title, HEADINGS, rows)
        excessive = [
            row
            for query, row in zip(slowest, rows, strict=True)
            if any(cost[query].seconds > SLOW or cost[query].series > MANY for cost in costs)
        ]
        title = f"Above {SLOW:g} s or {MANY} series: {len(excessive) or 'none'} of {len(rows)}"
        print_table(title, HEADINGS, excessive)


def _costs(server: Prometheus, duration: int) -> Iterator[tuple[Query, Cost]]:
    """Yield the cost of each query for a time range."""
    for name, board in boards().items():
        times = TimeRange(time.time(), duration)
        values: dict[str, str] = {}
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                request = request_of_variable(variable, times, values)
                values[variable["name"]] = default_of(variable, request.send(server))
                yield (name, request.element), _cost(server, request)
                searching = request_of_variable(variable, times, values | SEARCH)
                if searching != request:
                    yield (name, f"{request.element}, searching"), _cost(server, searching)
        for request in requests_of(board, times, values):
            yield (name, request.element), _cost(server, request)


def _cost(server: Prometheus, request: Request) -> Cost:
    durations = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        data = request.send(server)
        durations.append(time.perf_counter() - start)
    if isinstance(data, list):
        return Cost(median(durations), 0, len(data))
    statistics = request.send(server, stats="1")["stats"]["samples"]
    return Cost(median(durations), statistics["totalQueryableSamples"], len(data["result"]))


def _row(query: Query, costs: Sequence[Cost]) -> list[str]:
    parts = (part for cost in costs for part in (f"{cost.seconds:.2f}", f"{cost.samples:,}"))
    return [*query, *parts, f"{max(cost.series for cost in costs)}"]
