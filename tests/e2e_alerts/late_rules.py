"""The rules as in a ruler whose alerts see each record as of the evaluation before.

Prometheus evaluates them beside the rules themselves, on the same scrapes: the records have other
names, and the alerts a label that names the ruler.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tests.e2e_alerts.alert_recorder import RULER
from tests.e2e_alerts.scaled import seconds

LATE = "late"
"""Prefix of the names of records and groups, and the ruler."""


def late_groups(loaded: Mapping[str, Any], evaluation: str) -> list[dict[str, Any]]:
    """Return copies of all groups of a rule file, with this duration between two evaluations.

    Alerts see each record as of the evaluation before, as do records of another group.
    """
    records_of = {
        group["name"]: {rule["record"] for rule in group["rules"] if "record" in rule}
        for group in loaded["groups"]
    }
    selectors = _selectors(set().union(*records_of.values()))

    def late_rule(rule: Mapping[str, Any], own_records: set[str]) -> dict[str, Any]:
        def late_selector(match: re.Match[str]) -> str:
            record, matchers, offset = match.groups()
            lag = seconds(offset, 1) if offset else 0.0
            if record not in own_records:
                lag += seconds(evaluation, 1)
            return f"{LATE}_{record}{matchers}" + (f" offset {lag:.0f}s" if lag else "")

        late = {**rule, "expr": selectors.sub(late_selector, rule["expr"])}
        if "record" in rule:
            return {**late, "record": f"{LATE}_{rule['record']}"}
        return {**late, "labels": {**rule["labels"], RULER: LATE}}

    return [
        {
            **group,
            "name": f"{LATE}-{group['name']}",
            "rules": [late_rule(rule, records_of[group["name"]]) for rule in group["rules"]],
        }
        for group in loaded["groups"]
    ]


def _selectors(records: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern for a record with its matchers and range, and its offset."""
    names = "|".join(map(re.escape, records))
    return re.compile(
        rf"(?<![\w:])({names})(?![\w:])((?:{{[^}}]*}})?(?:\[\w+\])?)(?: offset (\d+[smhd]))?"
    )
