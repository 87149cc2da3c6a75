"""The alerting rules: their unit tests, labels, annotations, runbooks and inhibitions."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.metrics.cloud_metrics import CLOUD_FAMILIES
from exporter.metrics.image_metrics import IMAGE_FAMILIES
from exporter.model.changes import CHANGE_KINDS
from exporter.model.expectations.checks import EXPECTATIONS
from exporter.model.image import DELETED_STATUSES, STATUSES
from exporter.model.outcome import REASONS
from tests.dashboards.alert_table import (
    FOLDER,
    README,
    RULES,
    RUNBOOKS,
    alerts,
    rendered,
    rules,
)
from tests.readme_tables import metrics_of_clouds, metrics_of_images, metrics_of_the_exporter

TESTS = sorted((RULES.parent / "tests").glob("*.yml"))
QUICK = {"contradictions"}
"""Unit tests that take a few seconds of processor time; others take up to a minute."""

ALERTMANAGER = RULES.parent / "alertmanager.yml"
RUNBOOK_URL = "https://example.com/openstack-image-exporter/dashboards/runbooks/"
ALERT = re.compile(r"\bOpenStackImage\w+\b")
METRIC = re.compile(r"(?<![\w:])openstack_image_\w+(?![\w:])")
RECORDED = re.compile(r"\b(?:image|cloud)\w*:[\w:]+")
NAME_QUERY = (
    '{{ with printf "topk(1, max by (name) (max_over_time(timestamp('
    "openstack_image_info{cloud=%q,image_id=%q,name!=''})[1d:5m])))\" "
    "$labels.cloud $labels.image_id | query }}, "
    'named{{ range . }} {{ printf "%q" .Labels.name }}{{ end }}{{ end }}'
)
FEW = "{{ if le $value 100.0 }}"
"""Start of a condition, for alerts that may fire for all images at once: a query takes time."""
MASS_ALERTS = {"OpenStackImageGone", "OpenStackImageDataStale", "OpenStackImageNeverPolled"}
SECTIONS = (
    "What it means",
    "What the user of the image feels",
    "How to confirm",
    "Usual causes",
    "What to do",
    "What it is not",
)
CHANGE_ALERTS = {
    "OpenStackImageStatusChanged": "status",
    "OpenStackImageBackToQueued": "status",
    "OpenStackImageContentChanged": "content",
    "OpenStackImageBecamePublic": "public",
    "OpenStackImageProtectionLost": "unprotected",
    "OpenStackImageSizeChanged": "size",
}
"""Alerts about changes, with the kind of change."""

CHANGED = "image_change:openstack_image_state:changed_timestamp_seconds"
"""The record of all changes."""

COLUMNS = {
    "checksum",
    "container_format",
    "created_at",
    "disk_format",
    "file",
    "id",
    "min_disk",
    "min_ram",
    "name",
    "owner",
    "properties",
    "protected",
    "schema",
    "size",
    "status",
    "tags",
    "updated_at",
    "virtual_size",
    "visibility",
}
"""Columns of `openstack image show` in python-openstackclient 10.5."""

OPERATOR_LABELS = {"team", "tier"}
"""Labels that the operator gives to images in the unit tests."""

IMAGE = {"cloud", "image_id", "image"}
LABELS = (
    IMAGE,
    IMAGE | {"expectation"},
    {"cloud"},
    {"cloud", "reason"},
    {"job"},
    {"job", "namespace"},
)
"""Labels that an alert may have in addition to its name and severity."""


@cache
def unit_tests() -> list[dict[str, Any]]:
    """Return the unit tests of all files."""
    return [
        unit_test
        for path in TESTS
        for unit_test in yaml.safe_load(path.read_text("utf-8"))["tests"]
    ]


def expected_labels(check: dict[str, Any]) -> list[dict[str, str]]:
    """Return the labels of the alerts that must fire, without those of the operator."""
    return [
        {
            name: value
            for name, value in re.findall(r'(\w+)="([^"]*)"', sample["labels"])
            if name not in OPERATOR_LABELS
        }
        for sample in check["exp_samples"]
    ]


def expected_names(check: dict[str, Any]) -> set[str]:
    """Return the names of the alerts that must fire."""
    return {labels["alertname"] for labels in expected_labels(check)}


def unit_tests_of(alert: str, what: str) -> list[dict[str, Any]]:
    """Return the unit tests whose names say that the alert "fires" or "is silent"."""
    return [
        unit_test for unit_test in unit_tests() if unit_test["name"].startswith(f"{alert} {what} ")
    ]


@cache
def served_metrics() -> set[str]:
    """Return the names of all metrics in the generated tables."""
    tables = metrics_of_images() + metrics_of_clouds() + metrics_of_the_exporter()
    return set(re.findall(r"^\| `(\w+)`", tables, re.MULTILINE))


def inhibitions() -> dict[str, tuple[set[str], list[str], list[str]]]:
    """Return what each pattern of alerts inhibits.

    Returns:
        The alerts, the labels that must be equal, and the matchers of further labels.
    """
    inhibited_by = {}
    for rule in yaml.safe_load(ALERTMANAGER.read_text("utf-8"))["inhibit_rules"]:
        (source,), (target, *others) = rule["source_matchers"], rule["target_matchers"]
        inhibited = {name for name in alerts() if re.fullmatch(pattern(target), name)}
        inhibited_by[pattern(source)] = (inhibited, rule["equal"], others)
    return inhibited_by


def expressions_of(rule: str) -> list[str]:
    """Return the expressions of a rule and of all records that it reads, also indirectly."""
    by_name = {rule.get("alert", rule.get("record")): rule["expr"] for rule in rules()}
    found, names = dict[str, str](), [rule]
    while names:
        name = names.pop()
        if name not in found:
            found[name] = by_name[name]
            names += RECORDED.findall(found[name])
    return list(found.values())


def pattern(matcher: str) -> str:
    """Return the regular expression for names of alerts in a matcher."""
    match = re.fullmatch(r'alertname =~? "(.*)"', matcher)
    assert match
    return match[1]


def test_promtool_accepts_the_rules_with_every_lint(promtool: Path) -> None:
    process = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert f"SUCCESS: {len(rules())} rules found" in process.stdout


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[] if path.stem in QUICK else [pytest.mark.slow]) for path in TESTS],
    ids=[path.stem for path in TESTS],
)
def test_unit_tests_of_the_rules_pass(promtool: Path, path: Path) -> None:
    process = subprocess.run(
        [promtool, "test", "rules", path], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_has_unit_tests_in_which_it_fires_and_is_silent(alert: str) -> None:
    fires, silent = unit_tests_of(alert, "fires"), unit_tests_of(alert, "is silent")
    assert fires
    assert silent
    for unit_test in fires:
        assert any(alert in expected_names(check) for check in unit_test["promql_expr_test"])
    for unit_test in silent:
        assert alert not in expected_names(unit_test["promql_expr_test"][-1])


def test_unit_tests_check_all_firing_alerts() -> None:
    """Each check expects each alert once, with the labels that operators route by."""
    checks = [
        check for unit_test in unit_tests() for check in unit_test.get("promql_expr_test", ())
    ]
    assert len(checks) > 2 * len(alerts())
    for check in checks:
        assert check["expr"] == (
            'count without (alertstate, severity) (ALERTS{alertstate="firing"})'
        )
        for sample, labels in zip(check["exp_samples"], expected_labels(check), strict=True):
            assert sample["value"] == 1
            assert labels.keys() - {"alertname"} in LABELS


def test_series_of_unit_tests_have_an_instance() -> None:
    """The rules must aggregate it away."""
    for unit_test in unit_tests():
        for series in unit_test["input_series"]:
            assert 'instance="' in series["series"]


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_has_severity_summary_description_and_runbook(alert: str) -> None:
    rule = alerts()[alert]
    assert alert.startswith("OpenStackImage")
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    annotations = rule["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert "First:" in annotations["description"]
    assert annotations["runbook_url"] == f"{RUNBOOK_URL}{alert}.md"


@pytest.mark.parametrize("alert", alerts())
def test_description_of_an_alert_about_an_image_names_it(alert: str) -> None:
    """It has alias, ID, cloud and last known name. Alerts about a cloud have none of these."""
    description = alerts()[alert]["annotations"]["description"]
    fires = [
        check
        for unit_test in unit_tests_of(alert, "fires")
        for check in unit_test["promql_expr_test"]
    ]
    (label_names,) = {
        frozenset(labels)
        for check in fires
        for labels in expected_labels(check)
        if labels["alertname"] == alert
    }
    name = f"{FEW}{NAME_QUERY}{{{{ end }}}}" if alert in MASS_ALERTS else NAME_QUERY
    start = f"Image {{{{ $labels.image }}}} (ID {{{{ $labels.image_id }}}}{name}) in cloud"
    assert description.startswith(start) is (label_names >= IMAGE)


@pytest.mark.parametrize("count", [100, 101])
def test_descriptions_name_images_only_if_few_are_gone(
    promtool: Path, tmp_path: Path, count: int
) -> None:
    labels = [f'cloud="prod", image_id="id{n}", image="i{n}", instance="a"' for n in range(count)]
    values = {"state_info": "1x2", "poll_success": "1x2", "info": "1x2"}
    name = {"info": ', name="Debian"', "state_info": ', status="gone"'}
    named = ', named "Debian"' if count == 100 else ""
    annotations = alerts()["OpenStackImageGone"]["annotations"]
    described = (
        annotations["description"].split("{{ if")[0]
        + named
        + annotations["description"].rsplit("{{ end }}", 1)[1]
    )
    expected = [
        {
            "exp_labels": {
                "severity": "critical",
                "cloud": "prod",
                "image_id": f"id{n}",
                "image": f"i{n}",
            },
            "exp_annotations": {
                key: text.replace("{{ $labels.cloud }}", "prod")
                .replace("{{ $labels.image_id }}", f"id{n}")
                .replace("{{ $labels.image }}", f"i{n}")
                for key, text in {**annotations, "description": described}.items()
            },
        }
        for n in range(count)
    ]
    unit_test = {
        "interval": "1m",
        "input_series": [
            {
                "series": f"openstack_image_{metric}{{{image}{name.get(metric, '')}}}",
                "values": value,
            }
            for image in labels
            for metric, value in values.items()
        ],
        "alert_rule_test": [
            {"eval_time": "1m", "alertname": "OpenStackImageGone", "exp_alerts": expected}
        ],
    }
    file = tmp_path / "few.yml"
    order = yaml.safe_load(TESTS[0].read_text("utf-8"))["group_eval_order"]
    content = {"rule_files": [str(RULES)], "group_eval_order": order, "tests": [unit_test]}
    file.write_text(yaml.safe_dump(content), "utf-8")
    process = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_has_a_runbook_with_all_sections(alert: str) -> None:
    text = (RUNBOOKS / f"{alert}.md").read_text("utf-8")
    title, *sections = re.split(r"^#+ (?=[A-Z])", text, flags=re.MULTILINE)[1:]
    assert title.strip() == alert
    assert tuple(section.splitlines()[0] for section in sections) == SECTIONS
    assert all(section.split("\n", 1)[1].strip() for section in sections)
    assert re.search(r"^```sh\n(.*\n)*openstack", sections[2], re.MULTILINE)


@pytest.mark.parametrize("alert", alerts())
def test_runbooks_use_existing_columns_of_the_openstack_client(alert: str) -> None:
    """The client ignores unknown columns silently. Hashes and stores are properties."""
    text = (RUNBOOKS / f"{alert}.md").read_text("utf-8")
    commands = re.findall(r"^openstack image show .*", text, re.MULTILINE)
    assert {
        column for command in commands for column in re.findall(r"-c (\S+)", command)
    } <= COLUMNS


def test_runbook_of_expectations_explains_each() -> None:
    text = (RUNBOOKS / "OpenStackImageNotAsExpected.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
    explained = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(explained) == sorted(["expectation", *EXPECTATIONS])


def test_runbook_of_poll_failures_explains_each_reason() -> None:
    """The alert excludes ``rate_limited``, which has an alert of its own."""
    text = (RUNBOOKS / "OpenStackImagePollFailures.md").read_text("utf-8")
    causes = text.partition("## Usual causes")[2].partition("\n## ")[0]
    named = re.findall(r"`(\w+)`", " ".join(re.findall(r"^- (.*?): ", causes, re.MULTILINE)))
    assert sorted(named) == sorted(REASONS.keys() - {"rate_limited"})


def test_every_runbook_has_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.iterdir()} == alerts().keys()


def test_documents_name_existing_alerts() -> None:
    for path in (README, ALERTMANAGER, RULES, *RUNBOOKS.iterdir()):
        assert set(ALERT.findall(path.read_text("utf-8"))) <= alerts().keys()


def test_table_of_alerts_is_up_to_date() -> None:
    text = README.read_text("utf-8")
    assert rendered(text) == text, "stale: python -m tests.dashboards.alert_table"
    assert rendered(text.replace("<!-- alerts -->", "<!-- alerts -->\n\nstale")) == text


def test_rules_use_existing_metrics_and_recorded_series() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used: set[str] = set()
    for rule in rules():
        assert set(METRIC.findall(rule["expr"])) <= served_metrics()
        used |= set(RECORDED.findall(rule["expr"]))
        used |= set(RECORDED.findall(rule.get("annotations", {}).get("description", "")))
    assert used == recorded


def test_counters_in_rules_start_at_0() -> None:
    """Prometheus would miss the first increase of a counter that starts later."""
    counters = {family.name for family in IMAGE_FAMILIES if family.kind == "counter"}
    counters |= {family.name for family in CLOUD_FAMILIES if family.kind == "counter"}
    counters |= {"openstack_image_exporter_state_write_failures_total"}  # it has no labels
    used = {name for rule in rules() for name in re.findall(r"\bopenstack_\w+_total", rule["expr"])}
    assert used
    assert used <= counters


def test_selectors_of_rules_use_existing_label_values() -> None:
    text = RULES.read_text("utf-8")
    assert set(re.findall(r'reason!?="(\w+)"', text)) <= REASONS.keys()
    assert set(re.findall(r'change="(\w+)"', text)) == {*CHANGE_KINDS, "size"}
    numbered = re.findall(r'(\d+) \* openstack_image_state_info\{status="(\w+)"\}', text)
    statuses = {status: int(number) for number, status in numbered}
    explained = ", ".join(f"{status} {number}" for status, number in statuses.items())
    others = "any other except active 10"
    expected = explained.replace("gone", f"{others}, gone")
    assert expected in re.sub(r"\n# +", " ", text)
    (excluded,) = re.findall(r'10 \* openstack_image_state_info\{status!~"([\w|]+)"\}', text)
    assert excluded.split("|") == sorted([*statuses, "active"])
    assert statuses.keys() - {"gone"} == set(STATUSES) - DELETED_STATUSES - {"active"}


@pytest.mark.parametrize("alert", alerts())
def test_alerts_depend_on_no_vanishing_series_and_no_instance(alert: str) -> None:
    """They use no ``_info`` metric and no ``absent`` of a series of an image."""
    expression = alerts()[alert]["expr"]
    assert "_info" not in expression
    assert not re.search(r"absent\w*\((?!up\b)", expression)
    assert not re.search(r"\b(instance|pod)\b", expression)


@pytest.mark.parametrize("alert", CHANGE_ALERTS)
def test_changes_are_detected_by_the_exporter_and_by_state(alert: str) -> None:
    """The time of the change is the exporter's, the previous state is recorded by Prometheus."""
    expressions = "".join(expressions_of(alert))
    assert f'change="{CHANGE_ALERTS[alert]}"' in expressions
    assert "openstack_image_last_change_timestamp_seconds" in expressions
    assert "image_state:openstack_image_state:before" in expressions


def test_no_change_is_found_again_when_its_hour_is_over() -> None:
    """States are compared for less than an hour, after which nothing would hold the alert back."""
    by_name = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    durations = re.findall(r"time\(\) - (\d+)", by_name[CHANGED])
    assert set(durations) == {"3600"}
    compared = by_name["image_state:openstack_image_state:before"]
    windows = re.findall(r"offset (\d+)m", compared)
    assert max(map(int, windows)) == 55


def test_gone_alerts_outlast_a_restart_of_the_exporter() -> None:
    """All images gone fires longer, since it inhibits the alerts about each."""
    assert alerts()["OpenStackImageGone"]["keep_firing_for"] == "10m"
    mass_disappearance = alerts()["OpenStackImageMassDisappearance"]
    assert mass_disappearance["keep_firing_for"] == "6m"
    assert mass_disappearance["expr"].endswith("[6m])")


def test_outage_inhibits_only_alerts_about_missing_data() -> None:
    """A mass disappearance inhibits the alerts about single images."""
    missing_data = {"OpenStackImageDataStale", "OpenStackImageNeverPolled"}
    failed_polls = missing_data | {"OpenStackImagePollFailures"}
    assert inhibitions() == {
        "OpenStackImageApiDown": (failed_polls, ["cloud"], []),
        "OpenStackImageApiServersDisagree": (
            failed_polls,
            ["cloud"],
            ['reason =~ "(|unconfirmed)"'],
        ),
        "OpenStackImagePollingStopped": (missing_data, ["cloud"], []),
        "OpenStackImageMassDisappearance": ({"OpenStackImageGone"}, ["cloud"], []),
        "OpenStackImage(Deactivated|Killed|BackToQueued|Stuck)": (
            {"OpenStackImageNotActive"},
            ["cloud", "image_id"],
            [],
        ),
        "OpenStackImageExporterDown": (
            {"OpenStackImageShardMissing"},
            ["job", "namespace"],
            [],
        ),
        "OpenStackImageGone": ({"OpenStackImageNotAsExpected"}, ["cloud", "image_id"], []),
    }


def test_amtool_accepts_the_example_configuration() -> None:
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("amtool is not installed; on Debian it is in prometheus-alertmanager")
    process = subprocess.run(
        [amtool, "check-config", ALERTMANAGER], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr


def test_links_of_the_readme_resolve() -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text("utf-8")):
        assert (FOLDER / link).exists(), link
