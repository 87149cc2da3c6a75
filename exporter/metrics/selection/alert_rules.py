"""The metric families that the shipped alert rules need.

The package does not contain the rules. `make dashboards` writes what they need to a file.
"""

import json
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from exporter.metrics.selection.families import Selection

FILE = Path(__file__).with_name("alert_rules.json")

log = logging.getLogger(__name__)


class AlertRule(NamedTuple):
    """The metric families that an alert rule needs.

    Attributes:
        alert: The name of the alert.
        uses: All families in its expression, and in the recording rules that this contains.
        fires_with: Sets of families, of which one has to be served for the alert to ever fire.
    """

    alert: str
    uses: frozenset[str]
    fires_with: tuple[frozenset[str], ...]


class AffectedAlert(NamedTuple):
    """An alert that works differently because families are not served."""

    alert: str
    can_fire: bool
    missing: tuple[str, ...]

    def __str__(self) -> str:
        effect = "is incomplete or wrong" if self.can_fire else "never fires"
        return f"alert {self.alert} {effect} without {', '.join(self.missing)}"


@cache
def alert_rules() -> tuple[AlertRule, ...]:
    """Read the table."""
    return tuple(
        AlertRule(alert, frozenset(needs["uses"]), tuple(map(frozenset, needs["fires_with"])))
        for alert, needs in json.loads(FILE.read_text("ascii")).items()
    )


def affected_alerts(selection: Selection) -> Iterator[AffectedAlert]:
    """Yield the alerts that lack a family."""
    for rule in alert_rules():
        missing = tuple(sorted(filter(selection.lacks, rule.uses)))
        if missing:
            can_fire = any(needed.isdisjoint(missing) for needed in rule.fires_with)
            yield AffectedAlert(rule.alert, can_fire, missing)


def log_affected_alerts(selection: Selection) -> None:
    """Log the alerts that lack a family, in one line for each combination of families."""
    alerts: dict[tuple[str, ...], list[str]] = {}
    for affected in affected_alerts(selection):
        alerts.setdefault(affected.missing, []).append(affected.alert)
    for missing, names in alerts.items():
        fields = {"alerts": ",".join(names), "metrics_excluded": ",".join(missing)}
        log.warning("alert rules need metrics that are excluded", extra={"fields": fields})
