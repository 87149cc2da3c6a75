"""Results of the end-to-end test of the alerts."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.e2e_alerts.alert_recorder import AlertRecord
from tests.e2e_alerts.scaled import seconds

LATENESS_ALERTS = frozenset({"CyclesLate", "PollingStopped"})
"""Alerts about a late exporter, which are correct on a machine that is too busy."""

MAX_PUNCTUAL_DELAY = seconds("30s", 1)
"""Seconds of delay up to which every result counts: half of the default interval."""

MAX_BRIDGED_DELAY = seconds("2m", 1)
"""Seconds of delay up to which no alert may end and fire again."""


@dataclass(frozen=True, slots=True)
class AlertDelay:
    """Seconds from a change to the alert in Alertmanager, and the limit of these."""

    alert: str
    seconds: float
    limit: float


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """Result of a scenario or of the lifecycle of an exporter. Alerts have their short names.

    Attributes:
        notified: Alerts of which people must be notified.
        inhibited: Alerts that must reach Alertmanager and be inhibited there.
        permitted: Alerts that are correct because the machine was slow.
        reached: Alerts that Alertmanager received.
        notifications: Alerts of which it notified people.
        repeated: Alerts that started to fire more than once.
        late: Seconds that the machine was late, as if no duration had been shortened.
        delays: Delays of the alerts.
        failure: Exception that the scenario raised.
    """

    name: str
    description: str
    notified: frozenset[str]
    inhibited: frozenset[str]
    permitted: frozenset[str]
    reached: frozenset[str]
    notifications: frozenset[str]
    repeated: frozenset[str]
    late: float
    delays: tuple[AlertDelay, ...] = ()
    failure: str = ""

    @property
    def problems(self) -> list[str]:
        """The differences from the expected alerts, a line for each kind."""
        expected = self.notified | self.inhibited
        permitted = self.permitted | (
            LATENESS_ALERTS if self.late > MAX_PUNCTUAL_DELAY else frozenset()
        )
        repeated = self.repeated if self.late <= MAX_BRIDGED_DELAY else frozenset()
        kinds = {
            "did not reach Alertmanager": expected - self.reached,
            "people were not notified of": self.notified - self.notifications,
            "false alarm": self.reached - expected - permitted,
            "was not inhibited": self.notifications - self.notified - permitted,
            "fired more than once": repeated - permitted,
        }
        lines = [f"{kind}: {', '.join(sorted(alerts))}" for kind, alerts in kinds.items() if alerts]
        return [*lines, self.failure] if self.failure else lines


@dataclass(frozen=True, slots=True)
class E2EResults:
    """Results of all scenarios and exporters by name, and the record of all alerts.

    Attributes:
        broken_rules: Errors of rules that Prometheus could not evaluate.
        late: Seconds by which the steady exporter, the scrapes and the evaluations were late at
            worst. A busy machine adds them to the delay of an alert.
        speed: The factor by which all durations were shortened.
    """

    results: Mapping[str, ScenarioResult]
    record: AlertRecord
    broken_rules: list[str]
    late: float
    speed: float

    @property
    def is_conclusive(self) -> bool:
        """True if no scenario has a problem, or if the machine was fast enough not to cause one."""
        as_expected = not any(result.problems for result in self.results.values())
        return as_expected or self.late * self.speed <= MAX_PUNCTUAL_DELAY
