"""End-to-end test of the alerts with vmalert and VictoriaMetrics, for a selection of scenarios.

With ``VMALERT_SPEEDS=1`` no duration is shortened, so all settings are the defaults. That takes
50 minutes. ``VMALERT_SCENARIOS=all`` runs all scenarios that do not pause or restart the database.
"""

import pytest

from tests.e2e_alerts.exporter_process import JOB
from tests.e2e_alerts.results import E2EResults
from tests.e2e_alerts.scenario import SCENARIOS
from tests.e2e_alerts.victoria_metrics import VICTORIA_METRICS

pytestmark = pytest.mark.slow


EXPORTERS = sorted({SCENARIOS[name].exporter for name in VICTORIA_METRICS.scenarios})


@pytest.mark.parametrize(
    "name", [*VICTORIA_METRICS.scenarios, *(f"{JOB}-{name}" for name in EXPORTERS)]
)
def test_exactly_the_expected_alerts_are_sent_and_notified(vmalert: E2EResults, name: str) -> None:
    assert vmalert.results[name].problems == []


@pytest.mark.parametrize("name", VICTORIA_METRICS.scenarios)
def test_alerts_are_in_time(vmalert: E2EResults, name: str) -> None:
    """The lateness of a busy machine is added for the poll, the scrape and all evaluations."""
    for delay in vmalert.results[name].delays:
        assert delay.seconds <= delay.limit + 8 * vmalert.late, delay


def test_every_alert_is_about_the_subject_of_a_scenario(vmalert: E2EResults) -> None:
    assert {alert.subject for alert in vmalert.record.sent} <= vmalert.results.keys()


def test_every_rule_can_be_evaluated(vmalert: E2EResults) -> None:
    assert vmalert.broken_rules == []
