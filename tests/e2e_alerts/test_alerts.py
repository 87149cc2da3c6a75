"""End-to-end test of the alerts: from a change in the Image service to a notification."""

import pytest

from tests.e2e_alerts.exporter_process import JOB
from tests.e2e_alerts.lifecycles import LIFECYCLES
from tests.e2e_alerts.results import E2EResults
from tests.e2e_alerts.scenario import IMAGE_NAME, SCENARIOS

pytestmark = pytest.mark.slow

STEADY = [name for name, scenario in SCENARIOS.items() if scenario.exporter == "steady"]


@pytest.mark.parametrize("name", [*SCENARIOS, *(f"{JOB}-{name}" for name in LIFECYCLES)])
def test_exactly_the_expected_alerts_are_sent_and_notified(e2e: E2EResults, name: str) -> None:
    assert e2e.results[name].problems == []


def test_every_lifecycle_of_the_exporter_has_scenarios() -> None:
    assert len(SCENARIOS) > 20
    assert {scenario.exporter for scenario in SCENARIOS.values()} == LIFECYCLES.keys()


def test_every_alert_is_about_the_subject_of_a_scenario(e2e: E2EResults) -> None:
    assert {alert.subject for alert in e2e.record.sent} <= e2e.results.keys()
    assert {alert.subject for alert in e2e.record.notifications} <= e2e.results.keys()


@pytest.mark.parametrize("name", STEADY)
def test_alerts_are_in_time(e2e: E2EResults, name: str) -> None:
    """The limit is the intervals, two timeouts, a scrape, the evaluations and the alert's ``for``.

    The lateness of a busy machine is added once each for the poll, the scrape and the evaluation.
    """
    for delay in e2e.results[name].delays:
        assert delay.seconds <= delay.limit + 3 * e2e.late, delay


def test_alerts_about_changes_of_an_image_have_delays(e2e: E2EResults) -> None:
    alerts = {delay.alert for result in e2e.results.values() for delay in result.delays}
    names = ("Gone", "Deactivated", "BecamePublic", "ProtectionLost", "ContentChanged", "Stuck")
    assert {f"{name} golden" for name in names} <= alerts


def test_every_rule_can_be_evaluated(e2e: E2EResults) -> None:
    assert e2e.broken_rules == []


def test_alert_reaches_the_receiver_of_the_team(e2e: E2EResults) -> None:
    notified = e2e.record.notified("deactivation-of-a-team")
    assert {alert.labels.get("team") for alert in notified} == {"platform"}
    receivers = {alert.receiver for alert in notified if alert.name == "Deactivated golden"}
    assert receivers == {"team-platform", "on-call"}
    others = [
        alert
        for alert in e2e.record.notifications
        if alert.receiver == "team-platform" and alert.subject != "deactivation-of-a-team"
    ]
    assert others == []


def test_alert_about_a_gone_image_has_its_last_known_name(e2e: E2EResults) -> None:
    """A Prometheus that has lost its data does not know it, and may notify again."""
    forgetful = {name for name, each in SCENARIOS.items() if each.exporter == "remembering"}
    gone = [
        alert
        for alert in e2e.record.notifications
        if alert.name == "Gone golden" and alert.is_firing and alert.subject not in forgetful
    ]
    assert gone
    for alert in gone:
        assert f'named "{IMAGE_NAME}"' in alert.annotations["description"]


def test_alerts_have_only_labels_that_a_moved_exporter_keeps(e2e: E2EResults) -> None:
    """No label has a value that the API chooses, either."""
    labels = {label for alert in e2e.record.sent for label in alert.labels}
    stable = {"alertname", "severity", "cloud", "image", "image_id", "reason", "expectation", "job"}
    stable |= {"team"}
    assert labels <= stable
