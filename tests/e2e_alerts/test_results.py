"""Comparison of a scenario's alerts with those expected, on a fast and on a slow machine."""

from dataclasses import replace

import pytest

from tests.e2e_alerts.alert_recorder import AlertRecord
from tests.e2e_alerts.results import (
    MAX_BRIDGED_DELAY,
    MAX_PUNCTUAL_DELAY,
    E2EResults,
    ScenarioResult,
)
from tests.e2e_alerts.scenario import alert_names

AS_EXPECTED = ScenarioResult(
    name="cloud",
    description="an image is deactivated",
    notified=alert_names("Deactivated golden"),
    inhibited=alert_names("NotActive golden"),
    permitted=frozenset(),
    reached=alert_names("Deactivated golden, NotActive golden"),
    notifications=alert_names("Deactivated golden"),
    repeated=frozenset(),
    late=0.0,
)
FALSE_GONE = AS_EXPECTED.reached | {"Gone other"}
FALSE_LATE = AS_EXPECTED.reached | {"CyclesLate"}
REPEATED = AS_EXPECTED.inhibited


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({}, []),
        (
            {"reached": alert_names("NotActive golden"), "notifications": frozenset()},
            [
                "did not reach Alertmanager: Deactivated golden",
                "people were not notified of: Deactivated golden",
            ],
        ),
        ({"reached": FALSE_GONE}, ["false alarm: Gone other"]),
        ({"notifications": AS_EXPECTED.reached}, ["was not inhibited: NotActive golden"]),
        ({"repeated": REPEATED}, ["fired more than once: NotActive golden"]),
        ({"failure": "it did not happen"}, ["it did not happen"]),
        ({"reached": FALSE_LATE}, ["false alarm: CyclesLate"]),
        ({"reached": FALSE_LATE, "late": MAX_PUNCTUAL_DELAY + 1}, []),
        ({"reached": FALSE_GONE, "late": 3600.0}, ["false alarm: Gone other"]),
        (
            {"repeated": REPEATED, "late": MAX_BRIDGED_DELAY},
            ["fired more than once: NotActive golden"],
        ),
        ({"repeated": REPEATED, "late": MAX_BRIDGED_DELAY + 1}, []),
        (
            {"reached": AS_EXPECTED.reached | {"ApiDown"}, "permitted": alert_names("ApiDown")},
            [],
        ),
    ],
)
def test_problems_of_a_scenario(changes: dict[str, object], problems: list[str]) -> None:
    assert replace(AS_EXPECTED, **changes).problems == problems  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("failure", "late", "is_conclusive"),
    [
        ("", 0.0, True),
        ("", 60.0, True),
        ("it did not happen", 0.9, True),
        ("it did not happen", 1.1, False),
    ],
)
def test_failure_on_a_machine_that_was_too_slow_is_inconclusive(
    failure: str, late: float, is_conclusive: bool
) -> None:
    result = replace(AS_EXPECTED, failure=failure)
    results = E2EResults({"cloud": result}, AlertRecord(), [], late, speed=30)
    assert results.is_conclusive is is_conclusive
