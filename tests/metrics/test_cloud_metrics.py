import re
from dataclasses import fields, replace

import pytest

from exporter.metrics.cloud_metrics import CLOUD_FAMILIES
from exporter.metrics.family import Family
from exporter.model.cloud import CloudState
from exporter.model.outcome import REASONS

NEW = CloudState("lab", 60.0)

ONE_FIELD = {
    "targets": (7, "openstack_image_exporter_targets", 7.0),
    "cut_images": (3, "openstack_image_exporter_images_with_cut_labels", 3.0),
    "interval": (30.0, "openstack_image_exporter_cycle_interval_seconds", 30.0),
    "api_up": (True, "openstack_image_api_up", 1.0),
    "breaker_open": (True, "openstack_image_exporter_breaker_open", 1.0),
    "mass_disappearance": (True, "openstack_image_exporter_mass_disappearance", 1.0),
    "contradictions": (4, "openstack_image_exporter_contradictions_total", 4.0),
    "polls": (5, "openstack_image_exporter_polls_total", 5.0),
    "retries": (3, "openstack_image_exporter_retries_total", 3.0),
    "rate_limit_wait": (1.5, "openstack_image_exporter_rate_limit_wait_seconds_total", 1.5),
    "last_cycle_at": (1e9, "openstack_image_exporter_last_cycle_timestamp_seconds", 1e9),
    "last_cycle_duration": (2.5, "openstack_image_exporter_last_cycle_duration_seconds", 2.5),
    "cycles_skipped": (2, "openstack_image_exporter_cycles_skipped_total", 2.0),
    "cycle_lag": (0.25, "openstack_image_exporter_cycle_lag_seconds", 0.25),
    "concurrency_needed": (3.5, "openstack_image_exporter_concurrency_needed", 3.5),
    "clock_skew": (-4.0, "openstack_image_exporter_clock_skew_seconds", -4.0),
    "token_expires_at": (2e9, "openstack_image_exporter_token_expiry_timestamp_seconds", 2e9),
    "discovered_at": (
        1e9,
        "openstack_image_exporter_discovery_last_success_timestamp_seconds",
        1e9,
    ),
    "authentications": (4, "openstack_image_exporter_authentications_total", 4.0),
    "authentication_failures": (
        6,
        "openstack_image_exporter_authentication_failures_total",
        6.0,
    ),
}
"""Value, series and sample of each numeric field of the state."""


def series(cloud: CloudState) -> dict[tuple[str, ...], float]:
    """Return every sample of the cloud by name and label values."""
    return {
        (family.name, *labels): value
        for family in CLOUD_FAMILIES
        for labels, value in family.samples(cloud).items()
    }


@pytest.mark.parametrize(("field", "row"), ONE_FIELD.items())
def test_field_changes_only_its_own_series(field: str, row: tuple[object, str, float]) -> None:
    value, name, shown = row
    changed = series(replace(NEW, **{field: value}))  # type: ignore[arg-type]  # of the field's type
    assert changed == series(NEW) | {(name,): shown}


def test_every_field_of_the_state_is_tested() -> None:
    """Fields without a series are for the page or have labels."""
    others = {
        "name",
        "failures",
        "api_version",
        "resolved",
        "resolved_changes",
        "next_cycle_at",
        "contradicted_at",
        "capabilities",
        "auth_failure",
        "discovery_interval",
        "discovery_failure",
    }
    assert {field.name for field in fields(CloudState)} == ONE_FIELD.keys() | others


def test_unknown_values_are_absent_before_the_first_cycle() -> None:
    assert {name for name, *_ in series(NEW)}.isdisjoint(
        {
            "openstack_image_api_up",
            "openstack_image_exporter_last_cycle_timestamp_seconds",
            "openstack_image_exporter_last_cycle_duration_seconds",
            "openstack_image_exporter_cycle_lag_seconds",
            "openstack_image_exporter_concurrency_needed",
            "openstack_image_exporter_clock_skew_seconds",
            "openstack_image_exporter_token_expiry_timestamp_seconds",
            "openstack_image_exporter_api_version_info",
            "openstack_image_resolved_info",
            "openstack_image_exporter_discovery_last_success_timestamp_seconds",
        }
    )


def test_api_that_is_down_is_0_and_not_absent() -> None:
    assert series(replace(NEW, api_up=False))["openstack_image_api_up",] == 0.0


def test_counters_start_at_0() -> None:
    """Prometheus would not see the first increase of a counter that starts later."""
    counters = {family.name for family in CLOUD_FAMILIES if family.kind == "counter"}
    discovering = replace(NEW, resolved_changes={"golden": 0})
    shown = {key: value for key, value in series(discovering).items() if key[0] in counters}
    assert {name for name, *_ in shown} == counters
    assert set(shown.values()) == {0.0}


def test_every_failure_reason_has_a_series() -> None:
    shown = series(replace(NEW, failures={"timeout": 3, "tls": 1}))
    name = "openstack_image_exporter_poll_failures_total"
    expected = dict.fromkeys(REASONS, 0.0) | {"timeout": 3.0, "tls": 1.0}
    assert {key[1]: value for key, value in shown.items() if key[0] == name} == expected


def test_api_version_is_a_label() -> None:
    shown = series(replace(NEW, api_version="v1"))
    assert shown["openstack_image_exporter_api_version_info", "v1"] == 1.0


def test_alias_has_its_image_and_a_counter_of_changes() -> None:
    """An alias without an image has only the counter."""
    shown = series(
        replace(NEW, resolved={"golden": "b"}, resolved_changes={"golden": 1, "silver": 0})
    )
    assert {key: value for key, value in shown.items() if "resolved" in key[0]} == {
        ("openstack_image_resolved_info", "golden", "b"): 1.0,
        ("openstack_image_resolved_changes_total", "golden"): 1.0,
        ("openstack_image_resolved_changes_total", "silver"): 0.0,
    }


@pytest.mark.parametrize("family", CLOUD_FAMILIES, ids=lambda family: family.name)
def test_names_and_help_follow_the_conventions(family: Family[CloudState]) -> None:
    name, kind, text = family.name, family.kind, family.help
    assert re.fullmatch(r"openstack_image_(api_up|(exporter|resolved)_[a-z_]+)", name)
    assert name.endswith("_total") == (kind == "counter")
    assert re.fullmatch(r"[A-Z][^\n]+[.?]", text)
