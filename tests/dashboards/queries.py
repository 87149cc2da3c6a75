"""All that the dashboards ask, as their files have it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dashboards.generate.__main__ import FILES, HOME

BUILT_IN = {
    "$__rate_interval": "30s",
    "$__range": "300s",
    "$datasource": "prometheus",
}
"""What Grafana puts for its own variables in a time range of five minutes."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query of one dashboard, and what asks it."""

    board: str
    asker: str
    text: str

    def __str__(self) -> str:
        return f"{self.board}: {self.asker}"

    def filled(self, **chosen: str) -> str:
        """The query as Grafana sends it, with these variables and all of the rest."""
        values = {f"${name}": value for name, value in chosen.items()} | BUILT_IN
        text = self.text
        for name, value in values.items():
            text = text.replace(name, value)
        return re.sub(r"\$(job|instance|cloud|image)\b", ".+", text)


def boards() -> dict[str, Any]:
    """Each dashboard as its file has it, by the file's name."""
    return {name: json.loads((HOME / name).read_text("utf-8")) for name in FILES}


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels that show something."""
    return (panel for panel in board["panels"] if panel["type"] != "row")


def queries() -> Iterator[Query]:
    """What the panels and the annotations of all dashboards ask."""
    for name, board in boards().items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Query(name, f"{panel['title']} {target['refId']}", target["expr"])
        for annotation in board["annotations"]["list"]:
            yield Query(name, annotation["name"], annotation["expr"])


def variables() -> Iterator[Query]:
    """What the variables of all dashboards ask."""
    for name, board in boards().items():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield Query(name, variable["name"], variable["query"])
