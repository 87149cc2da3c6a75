"""Golden files of the exposition for typical observations.

``UPDATE_GOLDEN=1 pytest tests/metrics/test_golden.py`` writes them; review the difference.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.outcome import Failed, Found, Gone
from exporter.model.target import Target
from exporter.model.units import SizeRange
from tests.support.images import ACTIVE, MAX_STALE, START, later, observed, parse_v1
from tests.support.reference_collector import store_registry

GOLDEN = Path(__file__).parent / "golden"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"

TARGET = Target("lab", "3c3d1d01", "ubuntu")
EXPECTING = replace(
    TARGET,
    expect=(
        ("exists", True),
        ("status", ("active",)),
        ("protected", True),
        ("public", True),
        ("hidden", False),
        ("size", SizeRange(2**30, None)),
        ("properties", (("os_distro", "debian"),)),
        ("max_age", 7776000.0),
    ),
    property_names=frozenset({"os_version"}),
)
UNWANTED = replace(TARGET, expect=(("exists", False),))
HOSTILE = replace(ACTIVE, name='a "quoted" \\ name\nforged_metric 1', properties=())
QUEUED = parse_v1(
    b"X-Image-Meta-Status: queued", b"X-Image-Meta-Size: 0", b"X-Image-Meta-Is_public: False"
)
assert isinstance(QUEUED, Image)
CHANGED = replace(
    ACTIVE,
    status="deactivated",
    name="silver",
    protected=False,
    public=True,
    visibility="public",
)
OTHER_CONTENT = replace(ACTIVE, digests=(("md5", "0" * 32),))
LIFETIMES = (
    ("image_build_date", "2025-06-11 10:00"),
    ("provided_until", "2027-04-30"),
    ("replace_frequency", "monthly"),
    ("uuid_validity", "last-3"),
)
DELETED = replace(ACTIVE, status="deleted", deleted=True, deleted_at=1_799_999_000.5)


STALE = later(MAX_STALE + 1)

CASES: dict[str, tuple[Target, Observation, Instant]] = {
    "living": (EXPECTING, observed(Found(ACTIVE)), START),
    "hostile_name": (TARGET, observed(Found(HOSTILE)), START),
    "queued": (TARGET, observed(Found(QUEUED)), START),
    "unknown_status": (TARGET, observed(Found(replace(ACTIVE, status="quarantined"))), START),
    "changed": (TARGET, observed(Found(ACTIVE), Found(OTHER_CONTENT), Found(CHANGED)), START),
    "lifetimes": (TARGET, observed(Found(replace(ACTIVE, properties=LIFETIMES))), START),
    "failing": (TARGET, observed(Found(ACTIVE), Failed("timeout")), START),
    "stale": (TARGET, observed(Found(ACTIVE), Failed("timeout")), STALE),
    "gone": (EXPECTING, observed(Found(ACTIVE), Gone()), START),
    "gone_as_expected": (UNWANTED, observed(Found(ACTIVE), Gone()), START),
    "stale_with_expectations": (EXPECTING, observed(Found(ACTIVE), Failed("timeout")), STALE),
    "back": (TARGET, observed(Found(ACTIVE), Gone(), Found(ACTIVE)), START),
    "deleted_as_admin_sees_it": (EXPECTING, observed(Found(ACTIVE), Found(DELETED)), START),
    "never_polled": (
        Target("lab", "3c3d1d01", "3c3d1d01", source="discovered"),
        NEVER_POLLED,
        START,
    ),
}
"""Target, observation and time of each case."""

CLOUDS = {
    "cloud_before_its_first_cycle": CloudState("lab", 60.0),
    "cloud": CloudState(
        "lab",
        60.0,
        api_up=True,
        breaker_open=False,
        polls=240,
        failures={"timeout": 2, "not_polled": 1},
        retries=3,
        rate_limit_wait=1.25,
        last_cycle_at=START.wall,
        last_cycle_duration=0.75,
        cycles_skipped=1,
        cycle_lag=0.002,
        concurrency_needed=2.5,
        api_version="v1",
        clock_skew=-0.5,
        token_expires_at=START.wall + 3600,
        authentications=2,
        authentication_failures=1,
        contradictions=3,
        discovered_at=START.wall,
        resolved={"golden": "3c3d1d01"},
        resolved_changes={"golden": 2, "silver": 0},
    ),
}


def compare(name: str, text: str) -> None:
    """Compare ``text`` with the golden file, or write the file if requested."""
    path = GOLDEN / f"{name}.txt"
    if UPDATE:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def matching_lines(registry: CollectorRegistry, wanted: str) -> str:
    """Return the lines of the exposition that match a pattern."""
    exposition = generate_latest(registry).decode()
    return "".join(f"{line}\n" for line in exposition.split("\n") if re.search(wanted, line))


@pytest.mark.parametrize("name", CASES)
def test_series_of_an_image(name: str) -> None:
    target, observation, now = CASES[name]
    compare(name, matching_lines(store_registry((target, observation), now=now), "{.*image_id="))


@pytest.mark.parametrize("name", CLOUDS)
def test_series_of_a_cloud(name: str) -> None:
    compare(name, matching_lines(store_registry(cloud=CLOUDS[name]), "^openstack_image_"))


def test_every_family_has_help_and_type() -> None:
    """Families without series have them too."""
    compare("families", matching_lines(store_registry(), "^# (HELP|TYPE) openstack_image_"))


def test_every_golden_file_has_a_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {*CASES, *CLOUDS, "families"}
