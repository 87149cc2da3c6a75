"""What is wrong with a scenario is found, and what is right only on a slow machine is let pass."""

from dataclasses import replace

import pytest

from tests.dashboards.alarms.scenario import names
from tests.dashboards.alarms.stage import BRIDGED, Result

RIGHT = Result(
    name="cloud",
    says="an image is deactivated",
    tells=names("Deactivated golden"),
    held=names("NotActive golden"),
    permitted=frozenset(),
    reached=names("Deactivated golden, NotActive golden"),
    told=names("Deactivated golden"),
    again=frozenset(),
    late=0.0,
)


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, []),
        (
            {"reached": names("NotActive golden"), "told": frozenset()},
            [
                "did not reach Alertmanager: Deactivated golden",
                "people were not told of: Deactivated golden",
            ],
        ),
        ({"reached": RIGHT.reached | {"Gone other"}}, ["false alarm: Gone other"]),
        ({"told": RIGHT.reached}, ["was not held back: NotActive golden"]),
        ({"again": RIGHT.held}, ["began more than once: NotActive golden"]),
        ({"failure": "it did not happen"}, ["it did not happen"]),
        ({"reached": RIGHT.reached | {"CyclesLate"}}, ["false alarm: CyclesLate"]),
        ({"reached": RIGHT.reached | {"CyclesLate"}, "late": 1.5}, []),
        ({"reached": RIGHT.reached | {"Gone other"}, "late": 99.0}, ["false alarm: Gone other"]),
        ({"again": RIGHT.held, "late": BRIDGED}, ["began more than once: NotActive golden"]),
        ({"again": RIGHT.held, "late": BRIDGED + 1}, []),
        ({"reached": RIGHT.reached | {"ApiDown"}, "permitted": names("ApiDown")}, []),
    ],
)
def test_what_is_wrong_is_said(changed: dict[str, object], wrong: list[str]) -> None:
    """Missing, false, not held back, repeated: each in words."""
    assert replace(RIGHT, **changed).wrong == wrong  # type: ignore[arg-type]
