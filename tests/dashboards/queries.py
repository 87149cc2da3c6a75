"""Queries of the dashboards, as their JSON files contain them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dashboards.generate.__main__ import FILES, HOME

BUILT_IN = {
    "$__rate_interval": "30s",
    "$__interval": "5s",
    "$__range": "300s",
    "$datasource": "prometheus",
    "$limit": "50",
    "$search": "",
    "$find": "",
}
"""Values of Grafana's own variables in five minutes, and of variables without a list."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a dashboard, and the panel, annotation or variable that it belongs to."""

    board: str
    element: str
    text: str

    def __str__(self) -> str:
        return f"{self.board}: {self.element}"

    def filled(self, **variables: str) -> str:
        """Return the query as Grafana sends it, with all values of variables not given."""
        return filled(self.text, **variables)


def filled(text: str, **variables: str) -> str:
    """Return a query as Grafana sends it, with all values of variables not given."""
    given = {f"${name}": value for name, value in variables.items()}
    given |= {f"${{{name}:pipe}}": value for name, value in variables.items()}
    for name, value in (BUILT_IN | given).items():
        text = text.replace(name, value)
    return re.sub(r"\$(job|instance|cloud|image|\{shown:pipe\})(?!\w)", ".+", text)


def boards() -> dict[str, Any]:
    """Return each dashboard by the name of its file."""
    return {name: json.loads((HOME / name).read_text("utf-8")) for name in FILES}


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return all panels that show data."""
    return (panel for panel in board["panels"] if panel["type"] != "row")


def queries() -> Iterator[Query]:
    """Yield the queries of all panels and annotations."""
    for name, board in boards().items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Query(name, f"{panel['title']} {target['refId']}", target["expr"])
        for annotation in board["annotations"]["list"]:
            yield Query(name, annotation["name"], annotation["expr"])


def variables() -> Iterator[Query]:
    """Yield the queries of all variables."""
    for name, board in boards().items():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield Query(name, variable["name"], variable["query"])
