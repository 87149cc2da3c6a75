"""The PrometheusRule for Kubernetes: the rules of the rule file, routed by their namespace."""

import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.generate import prometheusrule
from tests.dashboards.alert_table import alerts
from tests.dashboards.servers import installed

OPERATOR_CONFIG = """
route:
  receiver: others
  group_by: [job]
  routes:
    - receiver: openstack-image-exporter/images/team
      matchers: ['namespace="openstack-image-exporter"']
      continue: true
receivers:
  - name: others
  - name: openstack-image-exporter/images/team
"""
"""Configuration that the Prometheus Operator makes of an AlertmanagerConfig in the namespace."""

INFO_INHIBITOR = {
    "alert": "InfoInhibitor",
    "expr": 'ALERTS{severity="info"} == 1 unless on (namespace) ALERTS{alertname!="InfoInhibitor",'
    ' severity=~"warning|critical", alertstate="firing"} == 1',
    "labels": {"severity": "none"},
}
"""Alert of kube-prometheus that inhibits alerts of severity info in its namespace."""


def spec() -> Any:
    """Return the specification in the generated manifest."""
    return yaml.safe_load(prometheusrule.FILE.read_text("utf-8"))["spec"]


def generated_alerts() -> list[dict[str, Any]]:
    """Return the alerting rules of the manifest."""
    return [rule for group in spec()["groups"] for rule in group["rules"] if "alert" in rule]


def test_manifest_is_up_to_date_with_the_rules() -> None:
    """``make dashboards`` writes it."""
    rules = prometheusrule.RULES.read_text("utf-8")
    assert prometheusrule.FILE.read_text("utf-8") == prometheusrule.text(rules)


def test_manifest_has_the_rules_of_the_file() -> None:
    """It adds the namespace, and splits OpenStackImageExporterDown, whose `absent()` has none."""
    expressions = defaultdict(list)
    groups = spec()["groups"]
    for group in groups:
        rules = {}
        for rule in group["rules"]:
            name = rule.get("alert") or rule["record"]
            expressions[name].append(rule["expr"])
            rule.get("labels", {}).pop("namespace", None)
            rules[name] = {**rule, "expr": "\nor\n".join(expressions[name])}
        group["rules"] = [*rules.values()]
    assert {"groups": groups} == yaml.safe_load(prometheusrule.RULES.read_text("utf-8"))


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_has_a_namespace(alert: str) -> None:
    """A label of the rule would make the alerts of two namespaces equal, which is an error."""
    for rule in generated_alerts():
        if rule["alert"] == alert:
            has_own = prometheusrule.OWN_NAMESPACE in rule["expr"]
            assert ("namespace" in rule["labels"]) is not has_own
            assert not has_own or "absent(" not in rule["expr"]


def test_promtool_accepts_the_manifest_with_every_lint(promtool: Path, tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(spec()), "utf-8")
    command = [str(promtool), "check", "rules", "--lint=all", "--lint-fatal", str(file)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("alert", alerts())
def test_alertmanagerconfig_in_the_namespace_receives_every_alert(
    tmp_path: Path, alert: str
) -> None:
    """An alert about an exporter has the namespace of its target, as the next test proves."""
    for rule in generated_alerts():
        if rule["alert"] == alert:
            labels = {"namespace": prometheusrule.NAMESPACE, **rule["labels"], "alertname": alert}
            assert receivers(tmp_path, labels) == ["openstack-image-exporter/images/team"]
            del labels["namespace"]
            assert receivers(tmp_path, labels) == ["others"]


def receivers(folder: Path, labels: dict[str, str]) -> list[str]:
    """Return the receivers of an alert with these labels."""
    amtool = installed("amtool", package="prometheus-alertmanager")
    file = folder / "alertmanager.yml"
    file.write_text(OPERATOR_CONFIG, "utf-8")
    command = [amtool, "config", "routes", "test", f"--config.file={file}"]
    command += [f"{name}={value}" for name, value in labels.items()]
    return subprocess.check_output(command, text=True).split()


TARGET = 'job="openstack-images", namespace="{}", instance="a"'
IMAGE = 'cloud="prod", image_id="1", image="golden", status="{}", ' + TARGET.format("images")


def check_firing(
    promtool: Path, folder: Path, series: dict[str, str], firing: list[tuple[str, str]]
) -> None:
    """Check which alerts fire after half an hour, each with its namespace."""
    groups = [*spec()["groups"], {"name": "kube-prometheus", "rules": [INFO_INHIBITOR]}]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": groups}), "utf-8")
    check = {
        "expr": 'group by (namespace, alertname) (ALERTS{alertstate="firing"})',
        "eval_time": "30m",
        "exp_samples": [
            {"labels": f'{{alertname="{alert}", namespace="{namespace}"}}', "value": 1}
            for namespace, alert in firing
        ],
    }
    input_series = [{"series": name, "values": values} for name, values in series.items()]
    unit_test = {"interval": "1m", "input_series": input_series, "promql_expr_test": [check]}
    content = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": [group["name"] for group in groups],
        "tests": [unit_test],
    }
    file = folder / "tests.yml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    command = [str(promtool), "test", "rules", str(file)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr


def test_alerts_have_the_namespace_of_the_rules_or_of_their_target(
    promtool: Path, tmp_path: Path
) -> None:
    own = prometheusrule.NAMESPACE
    series = {
        f"up{{{TARGET.format('first')}}}": "0x60",
        f"up{{{TARGET.format('second')}}}": "1x60",
        f'openstack_image_exporter_targets{{cloud="", {TARGET.format("second")}}}': "1x60",
        f"openstack_image_state_info{{{IMAGE.format('gone')}}}": "1x60",
        f'openstack_image_api_up{{cloud="other", {TARGET.format("second")}}}': "0x60",
    }
    firing = [
        ("first", "OpenStackImageExporterDown"),
        ("second", "OpenStackImageScrapeMisconfigured"),
        (own, "OpenStackImageGone"),
        (own, "OpenStackImageApiDown"),
    ]
    check_firing(promtool, tmp_path, series, firing)


@pytest.mark.parametrize(("api_up", "other"), [(1, "InfoInhibitor"), (0, "OpenStackImageApiDown")])
def test_info_inhibitor_of_kube_prometheus_mutes_status_changed_unless_another_alert_fires(
    promtool: Path, tmp_path: Path, api_up: int, other: str
) -> None:
    own = prometheusrule.NAMESPACE
    series = {
        f"up{{{TARGET.format('images')}}}": "1x60",
        f"openstack_image_state_info{{{IMAGE.format('saving')}}}": "1x20 stale",
        f"openstack_image_state_info{{{IMAGE.format('active')}}}": "_x21 1x40",
        f'openstack_image_api_up{{cloud="other", {TARGET.format("images")}}}': f"{api_up}x60",
    }
    firing = [(own, "OpenStackImageStatusChanged"), (own, other)]
    check_firing(promtool, tmp_path, series, firing)
