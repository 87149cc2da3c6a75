"""Queries as Grafana sends them: with its steps and the values of its variables."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.dashboards.queries import filled, panels
from tests.dashboards.servers import Prometheus
from tests.e2e_alerts.scaled import seconds

SCRAPE_INTERVAL = 15
"""Grafana's default for "Scrape interval" of a data source, in seconds."""
PIXELS = 1000
"""Width of a panel. Grafana queries at most one point for each."""
STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600)
"""The steps to which Grafana rounds."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a panel, a variable or an annotation to Prometheus' API."""

    element: str
    path: str
    parameters: Mapping[str, str]

    def send(self, server: Prometheus, **more: str) -> Any:
        """Return the data of the response."""
        return server.get(self.path, **self.parameters, **more)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The time range of a dashboard: its end as Unix time, and its seconds."""

    end: float
    duration: int

    def at_its_end(self, element: str, query: str) -> Request:
        """Return the request for the value of a query."""
        return Request(element, "query", {"query": query, "time": str(self.end)})

    def over_time(self, element: str, query: str, step: int) -> Request:
        """Return the request for the values of a query, at multiples of the step."""
        start, end = (time // step * step for time in (self.end - self.duration, self.end))
        times = {"start": str(start), "end": str(end), "step": str(step)}
        return Request(element, "query_range", {"query": query, **times})

    def values_of_label(self, element: str, label: str, selector: str) -> Request:
        """Return the request for the values of a label."""
        times = {"start": str(self.end - self.duration), "end": str(self.end)}
        return Request(element, f"label/{label}/values", {"match[]": selector, **times})


def step_of(duration: int, least: int, pixels: int = PIXELS) -> int:
    """Return the distance of points of a panel, at least ``least`` seconds."""
    exact = duration / pixels
    rounded = next(
        step
        for step, following in zip(STEPS, (*STEPS[1:], math.inf), strict=True)
        if exact < (step + following) / 2
    )
    return max(rounded, least)


def requests_of(
    board: Mapping[str, Any], times: TimeRange, values: Mapping[str, str]
) -> Iterator[Request]:
    """Yield the requests of all panels and annotations, with these values of variables."""
    for panel in panels(board):
        for target in panel["targets"]:
            scrape = _seconds(target.get("interval"))
            least = _seconds(target.get("interval") or panel.get("interval"))
            step = step_of(times.duration, least, panel.get("maxDataPoints") or PIXELS)
            query = filled(
                target["expr"],
                __range=f"{times.duration}s",
                __interval=f"{step}s",
                __rate_interval=f"{max(step + scrape, 4 * scrape)}s",
                **values,
            )
            element = f"{panel['title']} {target['refId']}"
            if target.get("instant"):
                yield times.at_its_end(element, query)
            else:
                yield times.over_time(element, query, step)
    for annotation in board["annotations"]["list"]:
        query, step = filled(annotation["expr"], **values), _seconds(annotation["step"])
        yield times.over_time(annotation["name"], query, step)


def _seconds(interval: str | None) -> int:
    return int(seconds(interval, 1)) if interval else SCRAPE_INTERVAL


def request_of_variable(
    variable: Mapping[str, Any], times: TimeRange, values: Mapping[str, str]
) -> Request:
    """Return the request for the options of a variable, with these values of others."""
    element, query = f"variable {variable['name']}", filled(variable["query"], **values)
    if match := re.fullmatch(r"label_values\((.+), (\w+)\)", query):
        return times.values_of_label(element, match[2], match[1])
    match = re.fullmatch(r"query_result\((.+)\)", query)
    assert match, query
    return times.at_its_end(element, match[1])


def default_of(variable: Mapping[str, Any], data: Any) -> str:
    """Return the default value of a variable, from the response to its request."""
    if variable.get("allValue"):
        return str(variable["allValue"])
    pattern = re.compile(variable["regex"].strip("/").replace("?<", "?P<"))
    options = []
    for series in data["result"]:
        labels = ", ".join(f'{name}="{value}"' for name, value in series["metric"].items())
        match = pattern.search(labels)
        assert match, labels
        options.append((match["text"].lower(), match["value"]))
    ids = [image_id for _, image_id in sorted(options)]
    return "|".join(ids) if variable["includeAll"] else ids[0]
