"""The optional rules with the names of openstack-exporter's metrics."""

import re
import subprocess
from pathlib import Path

import yaml

from tests.dashboards.alert_table import FOLDER
from tests.dashboards.test_rules import METRIC, served_metrics

RULES = FOLDER / "openstack-exporter/rules.yml"
TESTS = RULES.with_name("tests.yml")


def _run(promtool: Path, *arguments: str | Path) -> str:
    process = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_promtool_accepts_the_rules_with_every_lint(promtool: Path) -> None:
    _run(promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_unit_tests_of_the_rules_pass(promtool: Path) -> None:
    _run(promtool, "test", "rules", TESTS)


def test_every_record_has_a_unit_test_and_uses_existing_metrics() -> None:
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    tested = {
        check["expr"]
        for unit_test in yaml.safe_load(TESTS.read_text("utf-8"))["tests"]
        for check in unit_test["promql_expr_test"]
    }
    for rule in group["rules"]:
        assert rule["record"] in tested
        assert re.fullmatch(r"openstack_glance_\w+", rule["record"])
        assert set(METRIC.findall(rule["expr"])) <= served_metrics()
