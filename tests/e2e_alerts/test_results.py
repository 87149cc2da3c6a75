"""Comparison of a scenario's alerts with those expected, on a fast and on a slow machine."""

from dataclasses import replace

import pytest

from tests.e2e_alerts.results import MAX_BRIDGED_DELAY, ScenarioResult
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
        ({"reached": FALSE_LATE, "late": 1.5}, []),
        ({"reached": FALSE_GONE, "late": 99.0}, ["false alarm: Gone other"]),
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
