"""The alerts of dashboards/alerts/rules.yml, and the table of them in dashboards/README.md.

``python -m tests.dashboards.alert_table`` writes the table; a test fails if it is stale.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.readme_tables import table

FOLDER = Path(__file__).parents[2] / "dashboards"
RULES = FOLDER / "alerts" / "rules.yml"
RUNBOOKS = FOLDER / "runbooks"
README = FOLDER / "README.md"
BEGIN, END = "<!-- alerts -->", "<!-- end of alerts -->"


@cache
def rules() -> list[dict[str, Any]]:
    """Return every rule of the file, recording and alerting, in order."""
    loaded = yaml.safe_load(RULES.read_text("utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


@cache
def alerts() -> Mapping[str, dict[str, Any]]:
    """Return every alerting rule by its name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def alert_table() -> str:
    """Return a table with a row for each alert, linked to its runbook."""
    return table(
        ("Alert", "Severity", "After", "Summary"),
        (
            (
                f"[{name}](runbooks/{name}.md)",
                rule["labels"]["severity"],
                rule.get("for", "at once"),
                _readable(rule["annotations"]["summary"]),
            )
            for name, rule in alerts().items()
        ),
    )


def rendered(text: str) -> str:
    """Return the text with an updated table; raise ``ValueError`` without one pair of markers."""
    before, table_and_rest = text.split(BEGIN)
    _, after = table_and_rest.split(END)
    return f"{before}{BEGIN}\n\n{alert_table()}\n\n{END}{after}"


def _readable(template: str) -> str:
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", template)


if __name__ == "__main__":
    README.write_text(rendered(README.read_text("utf-8")), "utf-8")
