"""The table of values in k8s/chart/README.md, from the comments of values.yaml.

``make readme`` writes it, and a test fails if it is stale. A comment that begins with two hyphens
describes the key below it, as for helm-docs.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from tests.k8s.chart import CHART
from tests.readme_tables import table

README = CHART / "README.md"
VALUES = CHART / "values.yaml"
BEGIN, END = "<!-- values -->", "<!-- end of values -->"
KEY = re.compile(r"(?P<indent> *)(?P<key>[\w-]+):")
LONGEST_DEFAULT = 60
"""Characters of a default; longer ones are in values.yaml only."""


class Value(NamedTuple):
    """A documented value of the chart."""

    key: str
    default: Any
    meaning: str


def documented(text: str) -> Iterator[Value]:
    """Yield the values with a comment, in the order of the file."""
    defaults = yaml.safe_load(text)
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- "):
            comment = [stripped.removeprefix("# -- ")]
        elif comment and stripped.startswith("# "):
            comment.append(stripped.removeprefix("# "))
        elif match := KEY.match(line):
            path = [*path[: len(match["indent"]) // 2], match["key"]]
            if comment:
                default = defaults
                for key in path:
                    default = default[key]
                yield Value(".".join(path), default, " ".join(comment))
            comment = []


def values_table(text: str) -> str:
    """Return the table of the values."""
    return table(
        ("Value", "Default", "Meaning"),
        ((f"`{value.key}`", _default(value.default), value.meaning) for value in documented(text)),
    )


def rendered(readme: str) -> str:
    """Return the text with an updated table; raise ``ValueError`` without one pair of markers."""
    before, table_and_rest = readme.split(BEGIN)
    _, after = table_and_rest.split(END)
    return f"{before}{BEGIN}\n\n{values_table(VALUES.read_text('utf-8'))}\n\n{END}{after}"


def _default(default: Any) -> str:
    text = json.dumps(default)
    return f"`{text}`" if len(text) <= LONGEST_DEFAULT else "see values.yaml"


if __name__ == "__main__":
    README.write_text(rendered(README.read_text("utf-8")), "utf-8")
