"""The alerts that lack a metric which is not served."""

import logging

import pytest

from exporter.metrics.selection.alert_rules import affected_alerts, log_affected_alerts
from exporter.metrics.selection.families import EVERYTHING, Selection

STATE = "openstack_image_state_info"


def affected(include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the text about each alert that lacks a family."""
    return {alert.alert: str(alert) for alert in affected_alerts(Selection(include, exclude))}


@pytest.mark.parametrize("glob", ["python_*", "openstack_image_min_*", "openstack_image_hidden"])
def test_families_that_no_rule_uses_can_be_left_out(glob: str) -> None:
    assert affected(exclude=(glob,)) == {}
    assert list(affected_alerts(EVERYTHING)) == []


def test_alert_that_needs_an_excluded_family_never_fires() -> None:
    """It needs the family through recording rules."""
    alerts = affected(exclude=(STATE,))
    assert alerts["OpenStackImageKilled"] == (
        "alert OpenStackImageKilled never fires without openstack_image_state_info"
    )
    assert {"OpenStackImageRateLimited", "OpenStackImageApiDown"}.isdisjoint(alerts)


def test_alert_that_uses_an_excluded_family_beside_others_is_incomplete() -> None:
    alerts = affected(exclude=(STATE,))
    assert alerts["OpenStackImageContentChanged"] == (
        "alert OpenStackImageContentChanged is incomplete or wrong without "
        "openstack_image_state_info"
    )


def test_alert_never_fires_if_all_of_its_alternatives_are_excluded() -> None:
    families = (STATE, "openstack_image_last_change_timestamp_seconds")
    for family in families:
        assert "incomplete" in affected(exclude=(family,))["OpenStackImageGone"]
    assert "never fires" in affected(exclude=families)["OpenStackImageGone"]


def test_alert_that_would_fire_without_reason_is_named() -> None:
    """It fires if this metric is missing, as with a wrong scrape configuration."""
    alerts = affected(exclude=("openstack_image_poll_success",))
    assert "wrong" in alerts["OpenStackImageScrapeMisconfigured"]


def test_include_leaves_the_alerts_about_the_exporter_alone() -> None:
    alerts = affected(include=("openstack_image_exists",))
    assert "OpenStackImageGone" in alerts
    assert "OpenStackImageReloadFailed" not in alerts


def test_log_names_the_alerts_once_for_each_combination(caplog: pytest.LogCaptureFixture) -> None:
    log_affected_alerts(EVERYTHING)
    assert caplog.records == []
    log_affected_alerts(Selection(exclude=(STATE, "openstack_image_api_up")))
    lines = [record.__dict__["fields"] for record in caplog.records]
    by_metrics = {line["metrics_excluded"]: line["alerts"].split(",") for line in lines}
    both = f"openstack_image_api_up,{STATE}"
    assert by_metrics.keys() == {STATE, "openstack_image_api_up", both}
    assert "OpenStackImageKilled" in by_metrics[STATE]
    assert by_metrics["openstack_image_api_up"] == [
        "OpenStackImageApiDown",
        "OpenStackImagePollFailures",
    ]
    assert by_metrics[both] == ["OpenStackImageDataStale", "OpenStackImageNeverPolled"]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
