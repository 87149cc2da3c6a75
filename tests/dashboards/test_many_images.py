"""With many images, the alert of their cloud replaces those that it would inhibit."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.dashboards.alert_table import RULES
from tests.dashboards.test_rules import TESTS

FEW, MANY = 100, 101
"""The numbers of images on both sides of the limit."""


def series(count: int, metric: str, values: str, labels: str = "") -> list[dict[str, str]]:
    """Return a metric of this number of images, with the same values."""
    images = (f'cloud="prod", image_id="id{n}", image="i{n}", instance="a"' for n in range(count))
    return [{"series": f"{metric}{{{image}{labels}}}", "values": values} for image in images]


def check(
    promtool: Path,
    folder: Path,
    input_series: list[dict[str, str]],
    alerts: Mapping[str, Mapping[str, int]],
    state: str = "firing",
) -> None:
    """Check the number of alerts of each name that have this state at these times."""
    checks = [
        {
            "expr": f'count by (alertname) (ALERTS{{alertstate="{state}"}})',
            "eval_time": time,
            "exp_samples": [
                {"labels": f'{{alertname="OpenStackImage{name}"}}', "value": count}
                for name, count in numbers.items()
            ],
        }
        for time, numbers in alerts.items()
    ]
    up = {"series": 'up{job="openstack-images", instance="a"}', "values": "1x99"}
    unit_test = {
        "interval": "1m",
        "input_series": [up, *input_series],
        "promql_expr_test": checks,
    }
    order = yaml.safe_load(TESTS[0].read_text("utf-8"))["group_eval_order"]
    content = {"rule_files": [str(RULES)], "group_eval_order": order, "tests": [unit_test]}
    file = folder / "many.yml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "1m", **content}), "utf-8")
    process = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("expected", [0, 50])
@pytest.mark.parametrize("count", [FEW, MANY])
def test_many_gone_images_are_one_alert_until_one_is_back(
    promtool: Path, tmp_path: Path, count: int, expected: int
) -> None:
    """Those that are expected to be gone have no alert, and do not count."""
    cloud = '{cloud="prod", instance="a"}'
    total = count + expected
    gone = series(total, "openstack_image_state_info", "_x6 1x19", ', status="gone"')
    gone[0]["values"] = "_x6 1x9 stale"
    met = series(total, "openstack_image_expectation_met", "_x6 1x19", ', expectation="exists"')
    active = series(total, "openstack_image_state_info", "1x5 stale", ', status="active"')
    active[0]["values"] = "1x5 stale _x9 1x9"
    input_series = [
        {
            "series": f"openstack_image_exporter_mass_disappearance{cloud}",
            "values": "0x5 1x9 0x9",
        },
        {"series": f"openstack_image_exporter_targets{cloud}", "values": f"{total}x25"},
        *series(total, "openstack_image_poll_success", "1x25"),
        *met[count:],
        *gone,
        *active,
    ]
    single = {"Gone": FEW} if count == FEW else {}
    firing = {
        "5m": {},
        "14m": {"MassDisappearance": 1, **single},
        "20m": {"Gone": FEW, "MassDisappearance": 1},
    }
    check(promtool, tmp_path, input_series, firing)


@pytest.mark.parametrize("count", [FEW, MANY])
def test_many_images_of_an_api_that_is_down_are_one_alert_until_it_responds(
    promtool: Path, tmp_path: Path, count: int
) -> None:
    """The second half of the images was never polled. They still fail when the API responds."""
    up = {"series": 'openstack_image_api_up{cloud="prod", instance="a"}', "values": "1x5 0x29 1x49"}
    known = series(count // 2, "openstack_image_state_info", "1x99", ', status="active"')
    polls = series(count, "openstack_image_poll_success", "1x5 0x89")
    for unknown in polls[count // 2 :]:
        unknown["values"] = "0x94"
    each = {"DataStale": count // 2, "NeverPolled": count - count // 2}
    firing = {
        "30m": {"ApiDown": 1, **(each if count == FEW else {})},
        "60m": each,
    }
    check(promtool, tmp_path, [up, *known, *polls], firing)
    # Pending alerts, which take as much time, end as soon as the API is known to be down.
    pending = {"10m": {"ApiDown": 1, **(each if count == FEW else {})}}
    check(promtool, tmp_path, [up, *known, *polls], pending, state="pending")


@pytest.mark.parametrize("values", ["1x39 0 1x80", "1x12 " + "0 1x13 " * 6])
def test_alerts_of_many_images_go_on_if_the_api_is_down_for_a_moment(
    promtool: Path, tmp_path: Path, values: str
) -> None:
    """They could not be polled before that either."""
    up = {"series": 'openstack_image_api_up{cloud="prod", instance="a"}', "values": values}
    known = series(MANY, "openstack_image_state_info", "1x99", ', status="active"')
    polls = series(MANY, "openstack_image_poll_success", "1x4 0x95")
    firing = {f"{minute}m": {"DataStale": MANY} for minute in range(21, 90)}
    check(promtool, tmp_path, [up, *known, *polls], firing)
