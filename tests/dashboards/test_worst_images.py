"""The images in the table and the history of the overview: the worst ones, or those found."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.dashboards.queries import Query, variables

PROBLEMS = ("gone", "queued", "unreachable", "unprotected")
"""Images with a problem, worst first."""
STATUSES = ("gone", "queued")
"""Those that are named after their status; that of all others is active."""
HEALTHY = ("healthy-1", "healthy-2", "healthy-3")


def shown() -> str:
    """Return the query of the variable that selects the images."""
    (query,) = (
        query for query in variables() if (query.board, query.element) == ("overview.json", "shown")
    )
    match = re.fullmatch(r"query_result\((.+)\)", query.text)
    assert match
    return match[1]


def series() -> list[dict[str, str]]:
    """Return the metrics of all images."""
    return [
        {
            "series": f'openstack_image_{metric}{{job="j", instance="i", cloud="c",'
            f' image_id="{image}", image="alias of {image}"{more}}}',
            "values": str(value),
        }
        for image in (*HEALTHY, *PROBLEMS)
        for metric, more, value in (
            ("target_info", "", 1),
            *((("info", f', name="name of {image}"', 1),) if image != "gone" else ()),
            ("state_info", f', status="{image if image in STATUSES else "active"}"', 1),
            ("poll_success", "", int(image != "unreachable")),
            ("expectation_met", ', expectation="protected"', int(image != "unprotected")),
        )
    ]


@pytest.mark.parametrize(
    ("limit", "search", "images"),
    [
        ("1", "", ["gone"]),
        ("2", "", ["gone", "queued"]),
        ("3", "", ["gone", "queued", "unreachable"]),
        ("4", "", [*PROBLEMS]),
        ("50", "", [*PROBLEMS, *HEALTHY]),
        ("50", ".*", [*PROBLEMS, *HEALTHY]),
        ("50", "EALTHY-2", ["healthy-2"]),
        ("50", "alias of queued", ["queued"]),
        ("50", "name.of.(gone|un)", ["unreachable", "unprotected"]),
    ],
)
def test_overview_shows_the_worst_images_or_those_searched_for(
    promtool: Path, tmp_path: Path, limit: str, search: str, images: list[str]
) -> None:
    query = Query("", "", shown()).filled(limit=limit, search=search)
    expected = [{"labels": f'{{image_id="{image}"}}', "value": 1} for image in images]
    tested = {"expr": f"count by (image_id) ({query})", "eval_time": "0m", "exp_samples": expected}
    content = {
        "rule_files": [],
        "tests": [{"interval": "1m", "input_series": series(), "promql_expr_test": [tested]}],
    }
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    process = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
