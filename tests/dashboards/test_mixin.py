"""The mixin: the rules and dashboards of the files, and what its parameters change."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import rjsonnet
import yaml

from dashboards.generate import mixin
from dashboards.generate.__main__ import FILES
from tests.dashboards.alert_table import FOLDER, README, RULES, alerts

PARTS = ("prometheusRules", "prometheusAlerts", "grafanaDashboards")


def rendered(config: str = "{}") -> dict[str, Any]:
    """Return the rules and dashboards of the mixin with a configuration, written in Jsonnet."""
    parts = ", ".join(f"{part}: mixin.{part}" for part in PARTS)
    snippet = f"local mixin = (import 'mixin.libsonnet') + {{ _config+:: {config} }}; {{ {parts} }}"
    result: dict[str, Any] = json.loads(rjsonnet.evaluate_snippet("test", snippet, str(FOLDER)))
    return result


def groups(mixin: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the groups of recording and of alerting rules, in alphabetical order."""
    both = mixin["prometheusRules"]["groups"] + mixin["prometheusAlerts"]["groups"]
    return sorted(both, key=lambda group: str(group["name"]))


def alerts_of(part: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the alerts of a part with groups by name."""
    return {
        rule["alert"]: rule
        for group in part["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


def rendered_alerts(config: str = "{}") -> dict[str, dict[str, Any]]:
    """Return the alerts of the mixin with a configuration by name."""
    return alerts_of(rendered(config)["prometheusAlerts"])


def test_mixin_is_up_to_date_with_the_rules() -> None:
    """``make dashboards`` writes it."""
    assert mixin.FILE.read_text("utf-8") == mixin.text(RULES.read_text("utf-8"), [*FILES])


def test_defaults_give_the_rules_and_dashboards_of_the_files() -> None:
    default = rendered()
    expected = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    assert groups(default) == sorted(expected, key=lambda group: str(group["name"]))
    assert all("record" in rule for rule in default["prometheusRules"]["groups"][0]["rules"])
    assert default["grafanaDashboards"] == {
        path.name: json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")
    }


def test_selector_applies_to_every_metric_of_the_exporter(promtool: Path, tmp_path: Path) -> None:
    with_selector = rendered(r"""{ selector: 'cluster=~"a\\\\d"' }""")
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": groups(with_selector)}), "utf-8")
    subprocess.run([promtool, "check", "rules", file], check=True, capture_output=True)
    selector = r'cluster=~"a\\d"'
    default = rendered()
    for changed, original in zip(groups(with_selector), groups(default), strict=True):
        for rule, before in zip(changed["rules"], original["rules"], strict=True):
            metrics = len(mixin.METRIC.findall(before["expr"]))
            assert rule["expr"].count(selector) == metrics
            without = rule["expr"].replace(f"{{{selector}}}", "").replace(f"{selector}, ", "")
            assert without == before["expr"]
    for name, dashboard in with_selector["grafanaDashboards"].items():
        text, before = json.dumps(dashboard), json.dumps(default["grafanaDashboards"][name])
        escaped = json.dumps(selector)[1:-1]
        assert text.count(escaped) == before.count(r"job=~\"$job\"") + 1
        assert text.replace(f", {escaped}", "").replace(f"{{{escaped}}}", "") == before


def test_job_applies_to_every_rule_that_names_it() -> None:
    text = json.dumps(groups(rendered("{ job: 'images' }")))
    assert 'job=\\"images\\"' in text
    assert text.replace('job=\\"images\\"', f'job=\\"{mixin.JOB}\\"') == json.dumps(
        groups(rendered())
    )


def test_example_of_the_readme_changes_what_it_says() -> None:
    (example,) = re.findall(r"```jsonnet\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    files = json.loads(rjsonnet.evaluate_snippet("example", example, str(FOLDER)))
    assert files.keys() == {"rules.json", *FILES}
    by_name = alerts_of(files["rules.json"])
    assert by_name.keys() == alerts().keys()
    assert by_name["OpenStackImageStatusChanged"]["labels"] == {"severity": "warning"}
    assert by_name["OpenStackImageGone"]["labels"] == {"severity": "critical"}
    assert by_name["OpenStackImageClocksOff"]["expr"].endswith("> 5")
    assert by_name["OpenStackImageNotActive"]["for"] == "30m"
    for name, rule in by_name.items():
        assert rule["annotations"]["runbook_url"] == f"https://wiki.example.org/images/{name}.md"
    assert 'up{cluster="europe", job="images"}' in by_name["OpenStackImageExporterDown"]["expr"]


@pytest.mark.parametrize("alert", mixin.THRESHOLDS)
def test_threshold_changes_only_the_number_in_the_expression(alert: str) -> None:
    changed = rendered_alerts(f"{{ thresholds+: {{ {alert}: 12345 }} }}")
    expression = changed.pop(alert)["expr"]
    unchanged = rendered_alerts()
    original = unchanged.pop(alert)["expr"]
    assert changed == unchanged
    value = re.sub(r".*\{(.*)\}.*", r"\1", mixin.THRESHOLDS[alert])
    assert expression.count("12345") == 1
    assert expression.replace("12345", value) == original


def test_for_can_be_given_to_an_alert_that_fires_at_once() -> None:
    changed = rendered_alerts("{ 'for'+: { OpenStackImageGone: '1m' } }")
    assert changed["OpenStackImageGone"].pop("for") == "1m"
    assert changed == rendered_alerts()


def test_generator_names_an_alert_without_its_threshold() -> None:
    rules = RULES.read_text("utf-8").replace("> 30\n", "> 3\n")
    with pytest.raises(ValueError, match=r"OpenStackImageClocksOff: .* threshold once"):
        mixin.text(rules, [])
