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


@pytest.mark.parametrize(
    ("namespace", "receiver"),
    [
        ({"namespace": prometheusrule.NAMESPACE}, "openstack-image-exporter/images/team"),
        ({}, "others"),
    ],
)
def test_alertmanagerconfig_in_the_namespace_receives_the_alerts(
    tmp_path: Path, namespace: dict[str, str], receiver: str
) -> None:
    amtool = installed("amtool", package="prometheus-alertmanager")
    file = tmp_path / "alertmanager.yml"
    file.write_text(OPERATOR_CONFIG, "utf-8")
    (rule,) = (rule for rule in generated_alerts() if rule["alert"] == "OpenStackImageGone")
    assert rule["labels"]["namespace"] == prometheusrule.NAMESPACE
    labels = {**rule["labels"], "cloud": "prod", "image": "golden", **namespace}
    if not namespace:
        del labels["namespace"]
    command = [amtool, "config", "routes", "test", f"--config.file={file}"]
    command += [f"{name}={value}" for name, value in labels.items()]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout.split()) == (0, [receiver])
