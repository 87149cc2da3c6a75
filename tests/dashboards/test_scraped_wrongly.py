"""The notes about scrape configurations that rename labels or drop metrics."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.dashboards.queries import queries

EXPORTER = 'job="openstack-images", instance="a"'
FINE = {
    "openstack_image_exporter_build_info": "",
    "openstack_image_exporter_targets": 'cloud="prod"',
    "openstack_image_exporter_last_cycle_timestamp_seconds": 'cloud="prod"',
    "openstack_image_poll_success": 'cloud="prod", image="i", image_id="id"',
}
"""The metrics that matter here, with their labels."""
RENAMED = {
    "cloud": {
        "openstack_image_exporter_targets": 'cloud="europe", exported_cloud="prod"',
        "openstack_image_exporter_last_cycle_timestamp_seconds": (
            'cloud="europe", exported_cloud="prod"'
        ),
    },
    "image": {"openstack_image_poll_success": 'cloud="prod", image="vm", exported_image="i"'},
    "image_id": {
        "openstack_image_poll_success": 'cloud="prod", image_id="vm", exported_image_id="id"'
    },
}


def value_of(
    promtool: Path, folder: Path, board: str, element: str, series: Mapping[str, str], value: int
) -> None:
    """Check the value of a query."""
    (query,) = (query for query in queries() if (query.board, query.element) == (board, element))
    content = {
        "rule_files": [],
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": f"{metric}{{{EXPORTER}, {labels}}}", "values": "1"}
                    for metric, labels in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": f"sum({query.filled()})",
                        "eval_time": "0m",
                        "exp_samples": [{"labels": "{}", "value": value}],
                    }
                ],
            }
        ],
    }
    file = folder / "tests.yml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    process = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr


def without(*metrics: str) -> dict[str, str]:
    """Return the series without these metrics."""
    return {metric: labels for metric, labels in FINE.items() if metric not in metrics}


@pytest.mark.parametrize(
    ("series", "exporters"),
    [
        pytest.param(FINE, 0, id="nothing wrong"),
        *(pytest.param(FINE | renamed, 1, id=name) for name, renamed in RENAMED.items()),
        pytest.param(FINE | {"openstack_image_exporter_targets": ""}, 1, id="no cloud"),
        pytest.param(without("openstack_image_exporter_targets"), 1, id="clouds dropped"),
        pytest.param(without("openstack_image_poll_success"), 1, id="images dropped"),
        pytest.param(
            without(
                "openstack_image_poll_success",
                "openstack_image_exporter_last_cycle_timestamp_seconds",
            ),
            0,
            id="nothing polled yet",
        ),
    ],
)
def test_exporters_that_are_scraped_wrongly_are_counted(
    promtool: Path, tmp_path: Path, series: Mapping[str, str], exporters: int
) -> None:
    value_of(promtool, tmp_path, "exporter.json", "Scraped wrongly A", series, exporters)


@pytest.mark.parametrize(("series", "renamed"), [(FINE, 0), (FINE | RENAMED["cloud"], 1)])
def test_overview_names_clouds_whose_label_is_renamed(
    promtool: Path, tmp_path: Path, series: Mapping[str, str], renamed: int
) -> None:
    value_of(promtool, tmp_path, "overview.json", "Clouds B", series, renamed)
