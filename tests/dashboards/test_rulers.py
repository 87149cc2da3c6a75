"""The rules in rulers other than Prometheus: records that are seen late, and no ``ALERTS``."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dashboards.alert_table import RULES, alerts, rules
from tests.dashboards.test_rules import RECORDED, TESTS

LAST_CHANGE = "openstack_image_last_change_timestamp_seconds"
LABELS = 'cloud="prod", image_id="id", image="i", instance="a"'
EXPECTED_STATES = {
    "gone": {
        f'openstack_image_state_info{{{LABELS}, status="gone"}}': "1x30",
        f'openstack_image_expectation_met{{{LABELS}, expectation="exists"}}': "1x30",
    },
    "deactivated": {
        f'openstack_image_state_info{{{LABELS}, status="deactivated"}}': "1 stale 1x30",
        f'openstack_image_expectation_met{{{LABELS}, expectation="status"}}': "1x30",
    },
    "deactivated, and one scrape fails": {
        f'openstack_image_state_info{{{LABELS}, status="deactivated"}}': "1x4 stale 1x30",
        f'openstack_image_expectation_met{{{LABELS}, expectation="status"}}': "1x4 stale 1x30",
    },
    "gone, and one scrape fails": {
        f'openstack_image_state_info{{{LABELS}, status="gone"}}': "1x4 stale 1x30",
        f'openstack_image_expectation_met{{{LABELS}, expectation="exists"}}': "1x4 stale 1x30",
    },
}
"""Metrics of an image that is gone or not active as expected; one sample is missing."""


def test_records_and_alerts_are_in_separate_groups() -> None:
    """Not every ruler evaluates the rules of a group in order and sees their results at once."""
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
        assert len({"alert" in rule for rule in group["rules"]}) == 1, group["name"]


@pytest.mark.parametrize("alert", alerts())
def test_alerts_that_fire_at_once_read_one_record_of_the_current_state(alert: str) -> None:
    """Of two records, one may be of this evaluation and one of the evaluation before.

    The labels that the operator gives to images do not decide if an alert fires.
    """
    rule = alerts()[alert]
    state = (name for name in RECORDED.findall(rule["expr"]) if "image_labels:" not in name)
    current = {name for name in state if not name.endswith(":before")}
    assert "for" in rule or len(current) <= 1


def test_changes_are_read_before_states() -> None:
    """A scrape that is stored between two rules must not show a change and the state before it."""
    (group,) = [
        group["rules"]
        for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]
        if group["name"] == "openstack-images-state"
    ]
    all_changes = [
        number
        for number, rule in enumerate(group)
        if "(openstack_image_last_change_timestamp_seconds{change!~" in rule["expr"]
    ]
    states = [number for number, rule in enumerate(group) if "_state_info" in rule["expr"]]
    assert len(all_changes) == 1
    assert max(all_changes) < min(states)


def test_rules_do_not_read_which_alerts_fire() -> None:
    """``ALERTS`` exists in Prometheus, but not in every ruler."""
    assert not [rule for rule in rules() if "ALERTS" in rule["expr"]]


@pytest.mark.parametrize("path", TESTS, ids=[path.stem for path in TESTS])
def test_unit_tests_set_the_order_of_groups(path: Path) -> None:
    """Without one promtool takes a random order. Records come last in ``lag.yml``."""
    order = yaml.safe_load(path.read_text("utf-8"))["group_eval_order"]
    names = [group["name"] for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]]
    assert sorted(order) == sorted(names)
    is_late = order.index("openstack-images-state") > order.index("openstack-images")
    assert is_late is (path.stem == "lag")


@pytest.mark.slow  # 2 s of processor time each.
@pytest.mark.parametrize("order", [1, -1])
def test_no_alert_is_false_if_every_record_is_seen_one_evaluation_late(
    promtool: Path, tmp_path: Path, order: int
) -> None:
    """Records arrive late and may be missing once in a database, from which vmalert reads them."""
    checks: list[dict[str, Any]] = [
        {"expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{minute}m", "exp_samples": []}
        for minute in range(20)
    ]
    polled = {f"openstack_image_poll_success{{{LABELS}}}": "1x30"}
    unit_tests = [
        {"name": name, **_unit_test(polled | series, checks)}
        for name, series in EXPECTED_STATES.items()
    ]
    _run_with_late_records(promtool, tmp_path, order, unit_tests)


WATCHED = 'openstack_image_exporter_targets{cloud="prod", instance="a"}'
LATER = "150m"
BEFORE = 'status="deactivated", public="false", protected="true", algorithm="md5", digest="aa"'
AFTER = 'status="deactivated", public="true", protected="false", algorithm="md5", digest="bb"'
CHANGES = {
    "while the exporter is down for twenty minutes": {
        WATCHED: "1x99 stale _x19 1x80",
        f"openstack_image_poll_success{{{LABELS}}}": "1x99 stale _x19 1x80",
        f'openstack_image_expectation_met{{{LABELS}, expectation="status"}}': (
            "1x99 stale _x19 1x80"
        ),
        f"openstack_image_state_info{{{LABELS}, {BEFORE}}}": "1x99 stale",
        f"openstack_image_state_info{{{LABELS}, {AFTER}}}": "_x120 1x80",
    },
    "while the exporter is down for four minutes": {
        WATCHED: "1x99 stale _x3 1x80",
        f"openstack_image_poll_success{{{LABELS}}}": "1x99 stale _x3 1x80",
        f'openstack_image_expectation_met{{{LABELS}, expectation="status"}}': "1x99 stale _x3 1x80",
        f"openstack_image_state_info{{{LABELS}, {BEFORE}}}": "1x99 stale",
        f"openstack_image_state_info{{{LABELS}, {AFTER}}}": "_x104 1x80",
    },
    "while the image is gone": {
        WATCHED: "1x200",
        f"openstack_image_poll_success{{{LABELS}}}": "1x200",
        f'openstack_image_expectation_met{{{LABELS}, expectation="status"}}': "1x99 stale _x3 1x80",
        f"openstack_image_state_info{{{LABELS}, {BEFORE}}}": "1x99 stale",
        f'openstack_image_state_info{{{LABELS}, status="gone"}}': "_x100 1x3 stale",
        f"openstack_image_state_info{{{LABELS}, {AFTER}}}": "_x104 1x80",
    },
}
"""An image that is known for long, deactivated as expected, and changes while it is not."""


@pytest.mark.slow  # 4 s of processor time each.
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_found_if_every_record_is_seen_one_evaluation_late(
    promtool: Path, tmp_path: Path, name: str, order: int
) -> None:
    """The states before and after are compared although both are known only for some minutes."""
    found = ("BecamePublic", "ContentChanged", "ProtectionLost")
    check = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": LATER,
        "exp_samples": [
            {"labels": f'{{alertname="OpenStackImage{alert}"}}', "value": 1} for alert in found
        ],
    }
    _run_with_late_records(promtool, tmp_path, order, [_unit_test(CHANGES[name], [check])])


@pytest.mark.slow  # 4 s of processor time each.
@pytest.mark.parametrize("order", [1, -1])
def test_deleted_image_was_not_deactivated_against_expectations_if_records_are_late(
    promtool: Path, tmp_path: Path, order: int
) -> None:
    """The expectation ends with the scrape, but the record of the status a minute later."""
    firing = 'ALERTS{alertname="OpenStackImageDeactivated", alertstate="firing"}'
    checks: list[dict[str, Any]] = [
        {"expr": firing, "eval_time": f"{minute}m", "exp_samples": []} for minute in range(98, 104)
    ]
    series = CHANGES["while the image is gone"]
    _run_with_late_records(promtool, tmp_path, order, [_unit_test(series, checks)])


@pytest.mark.slow  # 2 s of processor time each.
@pytest.mark.parametrize("order", [1, -1])
def test_alerts_about_failing_polls_do_not_wait_again_if_scrapes_fail_and_records_are_late(
    promtool: Path, tmp_path: Path, order: int
) -> None:
    """The record of the failed scrape has no value while the next scrape has arrived already."""
    new_labels = LABELS.replace('"id"', '"id-new"')
    series = {
        f'openstack_image_state_info{{{LABELS}, status="active"}}': "1x9 stale 1x4 stale 1x9",
        f"openstack_image_poll_success{{{LABELS}}}": "1x4 0x4 stale 0x4 stale 0x9",
        f"openstack_image_poll_success{{{new_labels}}}": "_x5 0x4 stale 0x4 stale 0x9",
    }
    firing = {"OpenStackImageDataStale", "OpenStackImageNeverPolled"}
    check = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": "24m",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing],
    }
    _run_with_late_records(promtool, tmp_path, order, [_unit_test(series, [check])])


@pytest.mark.slow  # 2 s of processor time each.
@pytest.mark.parametrize("status", ["deactivated", "active"])
@pytest.mark.parametrize("order", [1, -1])
def test_unmet_expectation_does_not_end_when_a_scrape_fails_without_keep_firing_for(
    promtool: Path, tmp_path: Path, order: int, status: str
) -> None:
    """The record of the state is seen once more, although nothing was scraped."""
    scraped = "1x11 stale 1x20"
    series = {
        WATCHED: scraped,
        f'openstack_image_state_info{{{LABELS}, status="{status}"}}': scraped,
        f"openstack_image_poll_success{{{LABELS}}}": scraped,
        f'openstack_image_expectation_met{{{LABELS}, expectation="protected"}}': "0x11 stale 0x20",
    }
    firing = 'count(ALERTS{alertname="OpenStackImageNotAsExpected", alertstate="firing"})'
    checks: list[dict[str, Any]] = [
        {"expr": firing, "eval_time": f"{minute}m", "exp_samples": [{"value": 1}]}
        for minute in range(8, 25)
    ]
    unit_test = _unit_test(series, checks)
    _run_with_late_records(promtool, tmp_path, order, [unit_test], frozenset({"keep_firing_for"}))


@pytest.mark.slow  # 2 s of processor time each.
@pytest.mark.parametrize("order", [1, -1])
def test_no_alert_is_pending_when_the_exporter_is_scraped_again(
    promtool: Path, tmp_path: Path, order: int
) -> None:
    """It would be pending for every image: an evaluation of thousands of alerts takes seconds."""
    scraped = "1x29 stale _x1 1x30"
    gone = LABELS.replace('"id"', '"id-gone"')
    series = {
        WATCHED: scraped,
        f'openstack_image_state_info{{{LABELS}, status="active"}}': scraped,
        f"openstack_image_poll_success{{{LABELS}}}": scraped,
        f'openstack_image_state_info{{{gone}, status="active"}}': "1x9 stale",
        f'openstack_image_state_info{{{gone}, status="gone"}}': "_x10 1x19 stale _x1 1x30",
        f"openstack_image_poll_success{{{gone}}}": scraped,
    }
    alerts_of_polls = 'ALERTS{alertname=~"OpenStackImage(DataStale|NeverPolled)"}'
    checks: list[dict[str, Any]] = [
        {"expr": alerts_of_polls, "eval_time": f"{minute}m", "exp_samples": []}
        for minute in range(28, 45)
    ]
    _run_with_late_records(promtool, tmp_path, order, [_unit_test(series, checks)])


def test_status_of_a_deleted_image_has_not_changed_if_only_its_change_is_seen_at_once(
    promtool: Path, tmp_path: Path
) -> None:
    """A database may show a new series of one record later than that of another."""
    series = {
        f"openstack_image_poll_success{{{LABELS}}}": "1x30",
        f'openstack_image_state_info{{{LABELS}, status="active"}}': "1x9 stale",
        f'openstack_image_state_info{{{LABELS}, status="gone"}}': "_x10 1x20",
        f'{LAST_CHANGE}{{{LABELS}, change="status"}}': "_x10 600x20",
    }
    changed = 'ALERTS{alertname="OpenStackImageStatusChanged"}'
    checks: list[dict[str, Any]] = [
        {"expr": changed, "eval_time": f"{minute}m", "exp_samples": []} for minute in range(8, 20)
    ]
    _run_with_late_records(promtool, tmp_path, 1, [_unit_test(series, checks)], first="change")


OUTAGE = {
    'openstack_image_api_up{cloud="prod", instance="a"}': "1x5 0x29 1x30",
    f'openstack_image_state_info{{{LABELS}, status="active"}}': "1x60",
    f"openstack_image_poll_success{{{LABELS}}}": "1x5 0x30 1x30",
}
"""The API is down until 36m, and the image is found a cycle later."""
DISAPPEARANCE = {
    'openstack_image_exporter_mass_disappearance{cloud="prod", instance="a"}': "0x5 1x29 0x30",
    'openstack_image_exporter_targets{cloud="prod", instance="a"}': "2x60",
    f"openstack_image_poll_success{{{LABELS}}}": "1x60",
    f'openstack_image_state_info{{{LABELS}, status="active"}}': "1x5 stale _x30 1x30",
    f'openstack_image_state_info{{{LABELS}, status="gone"}}': "_x6 1x30 stale",
}
"""All images are gone until 36m, and this one is found a cycle later than others."""


@pytest.mark.slow  # 2 s of processor time each.
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("name", "inhibited", "series"),
    [("ApiDown", "DataStale", OUTAGE), ("MassDisappearance", "Gone", DISAPPEARANCE)],
)
def test_alert_ends_after_those_that_it_inhibits_without_keep_firing_for(
    promtool: Path, tmp_path: Path, order: int, name: str, inhibited: str, series: dict[str, str]
) -> None:
    """Otherwise people are notified of what is over by vmalert 1.79, which does not know it."""
    source, target = (
        f'ALERTS{{alertname="OpenStackImage{alert}", alertstate="firing"}}'
        for alert in (name, inhibited)
    )
    firing = [
        {"expr": f"count({alert})", "eval_time": "34m", "exp_samples": [{"value": 1}]}
        for alert in (source, target)
    ]
    alone = {"expr": f"{target} unless on (cloud) {source}", "exp_samples": []}
    checks: list[dict[str, Any]] = [
        *firing,
        *({**alone, "eval_time": f"{minute}m"} for minute in range(34, 60)),
        {"expr": source, "eval_time": "44m", "exp_samples": []},
    ]
    unit_test = _unit_test(series, checks)
    _run_with_late_records(promtool, tmp_path, order, [unit_test], frozenset({"keep_firing_for"}))


def _unit_test(series: Mapping[str, str], checks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a unit test with these series, beside that of the exporter as a target."""
    scraped = {'up{job="openstack-images", instance="a"}': "1x200", **series}
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in scraped.items()],
        "promql_expr_test": checks,
    }


def _run_with_late_records(
    promtool: Path,
    tmp_path: Path,
    order: int,
    unit_tests: list[dict[str, Any]],
    unknown: frozenset[str] = frozenset(),
    first: str = "",
) -> None:
    """Run unit tests with each rule in a group of its own, in this or the reverse order.

    Keys of rules that are unknown to the ruler are left out. Rules with ``first`` in their names
    are evaluated before all others.
    """
    groups: list[dict[str, Any]] = [
        {
            "name": f"{rule.get('alert', rule.get('record'))} {number}",
            "rules": [{key: value for key, value in rule.items() if key not in unknown}],
        }
        for number, rule in enumerate(rules())
    ]
    groups.sort(key=lambda group: first.lower() not in group["name"].lower())
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": groups}), "utf-8")
    content = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": [group["name"] for group in groups][::order],
        "tests": unit_tests,
    }
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    process = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr


def test_healthy_image_has_no_recorded_series(promtool: Path, tmp_path: Path) -> None:
    """Each would cost as much memory as a scraped one. Two records are about its cloud."""
    labels = 'status="active", public="false", protected="true", algorithm="md5", digest="aa"'
    metrics = {
        f"state_info{{{LABELS}, {labels}}}": 1,
        f"poll_success{{{LABELS}}}": 1,
        f'expectation_met{{{LABELS}, expectation="status"}}': 1,
        'exporter_targets{cloud="prod", instance="a"}': 1,
    }
    input_series = [
        {"series": f"openstack_image_{end}", "values": f"{value}x90"}
        for end, value in metrics.items()
    ]
    check = {
        "expr": 'count by (image) ({__name__=~".+:.+"})',
        "eval_time": "90m",
        "exp_samples": [{"labels": "{}", "value": 2}],
    }
    content = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {"interval": "1m", "input_series": input_series, "promql_expr_test": [check]},
        ],
    }
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    process = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
