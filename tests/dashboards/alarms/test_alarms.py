"""People are told of every change and of nothing else, from the Image service to a webhook."""

import pytest

from tests.dashboards.alarms.plays import PARTS
from tests.dashboards.alarms.scenario import NAME, SCENARIOS
from tests.dashboards.alarms.stage import Outcome
from tests.dashboards.alarms.watcher import JOB

TIMED = [name for name, scenario in SCENARIOS.items() if scenario.exporter == "steady"]


@pytest.mark.parametrize("name", [*SCENARIOS, *(f"{JOB}-{name}" for name in PARTS)])
def test_people_are_told_of_what_happens_and_of_nothing_else(outcome: Outcome, name: str) -> None:
    """Over the whole run, exactly the expected alerts reach Alertmanager, and people."""
    assert outcome.results[name].wrong == []


def test_there_are_enough_scenarios() -> None:
    """Twenty at least were asked for, and each part of the exporter's life has some."""
    assert len(SCENARIOS) > 20
    assert {scenario.exporter for scenario in SCENARIOS.values()} == PARTS.keys()


def test_every_alert_is_about_something_that_happens(outcome: Outcome) -> None:
    """No alert is sent about a cloud or a job of which no scenario speaks."""
    assert {seen.about for seen in outcome.record.sent} <= outcome.results.keys()
    assert {seen.about for seen in outcome.record.told} <= outcome.results.keys()


@pytest.mark.parametrize("name", TIMED)
def test_alerts_come_in_time(outcome: Outcome, name: str) -> None:
    """At most an interval, two timeouts, a scrape, an evaluation and ``for`` after the change.

    On a machine that is too busy to keep to these, the time that it was late is added.
    """
    for timed in outcome.results[name].timed:
        assert timed.took <= timed.bound + outcome.late, timed


def test_changes_are_timed(outcome: Outcome) -> None:
    """The alerts about what happens to an image are among those whose time is taken."""
    timed = {each.alert for result in outcome.results.values() for each in result.timed}
    wanted = ("Gone", "Deactivated", "BecamePublic", "ProtectionLost", "ContentChanged", "Stuck")
    assert {f"{name} golden" for name in wanted} <= timed


def test_every_rule_can_be_evaluated(outcome: Outcome) -> None:
    """In no evaluation of the run was there an error."""
    assert outcome.broken_rules == []


def test_alerts_name_the_image_that_is_gone(outcome: Outcome) -> None:
    """The last known name is in the description, though no series has it any more."""
    gone = [seen for seen in outcome.record.told if seen.name == "Gone golden" and seen.fires]
    assert gone
    for seen in gone:
        assert f'named "{NAME}"' in seen.annotations["description"]


def test_alerts_do_not_say_where_the_exporter_runs(outcome: Outcome) -> None:
    """No label is one that changes when the exporter moves, or that the API chooses."""
    labels = {label for seen in outcome.record.sent for label in seen.labels}
    known = {"alertname", "severity", "cloud", "image", "image_id", "reason", "expectation", "job"}
    assert labels <= known
