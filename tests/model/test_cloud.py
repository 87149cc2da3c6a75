from dataclasses import replace

import pytest

from exporter.model.cloud import CLOUD_PROBLEMS, CloudState, cloud_problems, unresolved
from exporter.model.outcome import Failed

NOW = 1_800_000_000.0
WELL = CloudState(
    "lab",
    60.0,
    api_up=True,
    last_cycle_at=NOW - 10,
    next_cycle_at=NOW + 50,
    authentications=3,
    authentication_failures=2,
    discovery_interval=300.0,
    discovered_at=NOW - 100,
    resolved={"ubuntu": "an-id"},
    resolved_changes={"ubuntu": 3},
)


@pytest.mark.parametrize("cloud", [CloudState("lab", 60.0), WELL])
def test_a_cloud_may_be_in_no_trouble(cloud: CloudState) -> None:
    """A cloud that was never asked is in none, nor is one of which all is well."""
    assert cloud_problems(cloud, NOW) == ()


FIELDS: dict[str, dict[str, object]] = {
    "api_down": {"api_up": False},
    "polling_late": {"next_cycle_at": NOW - 60.5},
    "mass_disappearance": {"mass_disappearance": True},
    "sign_in_failing": {"sign_in_failure": "unauthorized: HTTP 401"},
    "breaker_open": {"breaker_open": True},
    "discovery_failing": {"discovery_failure": Failed("timeout")},
    "alias_unresolved": {"resolved": {}},
}


@pytest.mark.parametrize(("trouble", "fields"), FIELDS.items())
def test_each_trouble_is_seen(trouble: str, fields: dict[str, object]) -> None:
    """A cloud that differs from a good one in one thing has one trouble."""
    assert cloud_problems(replace(WELL, **fields), NOW) == (trouble,)  # type: ignore[arg-type]  # of the fields' types


def test_several_troubles_are_in_the_order_of_the_table() -> None:
    """The worst comes first."""
    everything = {name: value for fields in FIELDS.values() for name, value in fields.items()}
    assert cloud_problems(replace(WELL, **everything), NOW) == tuple(CLOUD_PROBLEMS)  # type: ignore[arg-type]  # as above


def test_a_cycle_may_be_a_little_late() -> None:
    """Up to an interval is no trouble: a cycle may take all of it."""
    assert cloud_problems(replace(WELL, next_cycle_at=NOW - 59.5), NOW) == ()


def test_aliases_are_unresolved_only_once_there_is_a_list() -> None:
    """Before the first list an alias without an image is no trouble."""
    waiting = replace(WELL, resolved={}, discovered_at=None)
    assert unresolved(waiting) == ("ubuntu",)
    assert cloud_problems(waiting, NOW) == ()
    assert unresolved(WELL) == ()
