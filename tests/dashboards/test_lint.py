"""The exceptions from the rules of Grafana's dashboard-linter, which needs Go."""

import re
from typing import Any

import yaml
from grafana_foundation_sdk.models import units

from dashboards.generate.__main__ import HOME
from tests.dashboards.queries import boards, panels, queries

UNITS = {value for name, value in vars(units).items() if name[0].isupper()}


def exclusions() -> dict[str, Any]:
    """Return the exceptions by the name of the rule."""
    loaded: dict[str, Any] = yaml.safe_load((HOME / ".lint").read_text("utf-8"))
    return loaded["exclusions"]  # type: ignore[no-any-return]


def test_every_exception_has_a_reason() -> None:
    assert all(entries["reason"] for entries in exclusions().values())


def test_units_are_known_except_on_excluded_panels() -> None:
    entries = exclusions()["panel-units-rule"]["entries"]
    excluded = {(entry["dashboard"], entry["panel"]) for entry in entries}
    unknown = {
        (board["title"], panel["title"])
        for board in boards().values()
        for panel in panels(board)
        if panel["fieldConfig"]["defaults"]["unit"] not in UNITS
    }
    assert unknown == excluded


def test_exception_for_counters_is_for_differences_only() -> None:
    assert "target-counter-agg-rule" in exclusions()
    for query in queries():
        for before in re.findall(r"(\S*?)openstack_image_\w+_total\{", query.text):
            assert before.endswith(("rate(", "increase(", "clamp_min(", "")), query
            assert before or " offset $__interval, 0)" in query.text, query
