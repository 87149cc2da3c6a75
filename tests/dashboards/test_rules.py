"""The rules fire for what they say and for nothing else, and everything about them is in place."""

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
from exporter.model.changes import COUNTED_ATTRIBUTES
from exporter.model.expectations.checks import EXPECTATIONS
from exporter.model.image import STATUSES
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
ALERTMANAGER = RULES.parent / "alertmanager.yml"
RUNBOOK_URL = "https://example.com/openstack-image-exporter/dashboards/runbooks/"
ALERT = re.compile(r"\bOpenStackImage\w+\b")
METRIC = re.compile(r"(?<![\w:])openstack_image_\w+(?![\w:])")
RECORDED = re.compile(r"\b(?:image|cloud)\w*:[\w:]+")
NAME_QUERY = (
    '{{ with printf "topk(1, max by (name) (last_over_time('
    'image_name:openstack_image_info:seen_timestamp_seconds{cloud=%q,image_id=%q}[1d])))" '
    "$labels.cloud $labels.image_id | query }}, "
    'named{{ range . }} {{ printf "%q" .Labels.name }}{{ end }}{{ end }}'
)
SECTIONS = (
    "What it means",
    "What the user of the image feels",
    "How to confirm",
    "Usual causes",
    "What to do",
    "What it is not",
)
SIDES = {
    "OpenStackImageStatusChanged": ("status_changes", "status"),
    "OpenStackImageBackToQueued": ("status_changes", "status"),
    "OpenStackImageContentChanged": ("content_changes", "content"),
    "OpenStackImageBecamePublic": ("attribute_changes", "public"),
    "OpenStackImageProtectionLost": ("attribute_changes", "protected"),
}
"""The alerts about changes: the counter that sees each, and the state that Prometheus remembers."""

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
"""What `openstack image show` has as columns of their own, by python-openstackclient 10.5."""

IMAGE = {"cloud", "image_id", "image"}
LABELS = (
    IMAGE,
    IMAGE | {"expectation"},
    {"cloud"},
    {"cloud", "reason"},
    {"job"},
    {"job", "namespace"},
)
"""The labels that an alert may have, beside its name and severity."""


@cache
def stories() -> list[dict[str, Any]]:
    """The unit tests of all files."""
    return [story for path in TESTS for story in yaml.safe_load(path.read_text("utf-8"))["tests"]]


def expected(check: dict[str, Any]) -> list[dict[str, str]]:
    """The labels of the alerts that are to fire."""
    return [dict(re.findall(r'(\w+)="([^"]*)"', each["labels"])) for each in check["exp_samples"]]


def names(check: dict[str, Any]) -> set[str]:
    """The alerts that are to fire."""
    return {labels["alertname"] for labels in expected(check)}


def stories_of(alert: str, what: str) -> list[dict[str, Any]]:
    """The unit tests whose name says that they are about this."""
    return [story for story in stories() if story["name"].startswith(f"{alert} {what} ")]


@cache
def served() -> set[str]:
    """The name of every metric in the code's tables."""
    tables = metrics_of_images() + metrics_of_clouds() + metrics_of_the_exporter()
    return set(re.findall(r"^\| `(\w+)`", tables, re.MULTILINE))


def inhibitions() -> dict[str, tuple[set[str], list[str]]]:
    """For each pattern of alerts, those that it holds back, and by which equal labels."""
    found = {}
    for rule in yaml.safe_load(ALERTMANAGER.read_text("utf-8"))["inhibit_rules"]:
        (source,), (target,) = rule["source_matchers"], rule["target_matchers"]
        held = {name for name in alerts() if re.fullmatch(pattern(target), name)}
        found[pattern(source)] = (held, rule["equal"])
    return found


def pattern(matcher: str) -> str:
    """The regular expression for names of alerts in a matcher."""
    found = re.fullmatch(r'alertname =~? "(.*)"', matcher)
    assert found
    return found[1]


def test_promtool_finds_nothing_to_say(promtool: Path) -> None:
    """The rule file is accepted, with every lint there is."""
    ran = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"SUCCESS: {len(rules())} rules found" in ran.stdout


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_do_what_their_unit_tests_say(promtool: Path, path: Path) -> None:
    """By promtool, exactly the expected alerts fire at each moment of each story."""
    ran = subprocess.run(
        [promtool, "test", "rules", path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_has_stories_in_which_it_fires_and_in_which_it_does_not(alert: str) -> None:
    """A story that says "fires" expects the alert, one that says "is silent" ends without it."""
    fires, silent = stories_of(alert, "fires"), stories_of(alert, "is silent")
    assert fires
    assert silent
    for story in fires:
        assert any(alert in names(check) for check in story["promql_expr_test"])
    for story in silent:
        assert alert not in names(story["promql_expr_test"][-1])


def test_stories_count_all_that_fires() -> None:
    """Each check looks at all alerts, expects each once, with labels of the operator's choosing."""
    checks = [check for story in stories() for check in story.get("promql_expr_test", ())]
    assert len(checks) > 2 * len(alerts())
    for check in checks:
        assert check["expr"] == (
            'count without (alertstate, severity) (ALERTS{alertstate="firing"})'
        )
        for sample, labels in zip(check["exp_samples"], expected(check), strict=True):
            assert sample["value"] == 1
            assert labels.keys() - {"alertname"} in LABELS


def test_stories_are_told_by_exporters_with_an_instance() -> None:
    """Every series has the label that the rules are to aggregate away."""
    for story in stories():
        for given in story["input_series"]:
            assert 'instance="' in given["series"]


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_says_who_and_what_and_where_to_read_on(alert: str) -> None:
    """Severity, summary, description with what to do first, and the address of the runbook."""
    rule = alerts()[alert]
    assert alert.startswith("OpenStackImage")
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    said = rule["annotations"]
    assert said.keys() == {"summary", "description", "runbook_url"}
    assert "First:" in said["description"]
    assert said["runbook_url"] == f"{RUNBOOK_URL}{alert}.md"


@pytest.mark.parametrize("alert", alerts())
def test_alerts_about_an_image_name_it(alert: str) -> None:
    """Alias, ID, cloud and the last known name are in the description, none for a cloud's alert."""
    description = alerts()[alert]["annotations"]["description"]
    fires = [check for story in stories_of(alert, "fires") for check in story["promql_expr_test"]]
    (about,) = {
        frozenset(labels)
        for check in fires
        for labels in expected(check)
        if labels["alertname"] == alert
    }
    named = f"Image {{{{ $labels.image }}}} (ID {{{{ $labels.image_id }}}}{NAME_QUERY}) in cloud"
    assert description.startswith(named) is (about >= IMAGE)


@pytest.mark.parametrize("alert", alerts())
def test_every_alert_has_a_runbook(alert: str) -> None:
    """It has all sections, in order and not empty, and says how to confirm by commands."""
    text = (RUNBOOKS / f"{alert}.md").read_text("utf-8")
    title, *sections = re.split(r"^#+ (?=[A-Z])", text, flags=re.MULTILINE)[1:]
    assert title.strip() == alert
    assert tuple(section.splitlines()[0] for section in sections) == SECTIONS
    assert all(section.split("\n", 1)[1].strip() for section in sections)
    assert re.search(r"^```sh\n(.*\n)*openstack", sections[2], re.MULTILINE)


@pytest.mark.parametrize("alert", alerts())
def test_runbooks_ask_the_client_for_columns_that_it_has(alert: str) -> None:
    """It leaves out one that it does not know, in silence; hashes and stores are properties."""
    text = (RUNBOOKS / f"{alert}.md").read_text("utf-8")
    commands = re.findall(r"^openstack image show .*", text, re.MULTILINE)
    assert {each for one in commands for each in re.findall(r"-c (\S+)", one)} <= COLUMNS


def test_the_runbook_of_expectations_explains_each() -> None:
    """Whatever the label of the alert says, there is a row about it."""
    text = (RUNBOOKS / "OpenStackImageNotAsExpected.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
    explained = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(explained) == sorted(["expectation", *EXPECTATIONS])


def test_no_runbook_is_left_over() -> None:
    """Every file in the folder is the runbook of an alert."""
    assert {path.stem for path in RUNBOOKS.iterdir()} == alerts().keys()


def test_documents_name_alerts_that_exist() -> None:
    """No document and no route speaks of an alert that is not in the rule file."""
    for path in (README, ALERTMANAGER, RULES, *RUNBOOKS.iterdir()):
        assert set(ALERT.findall(path.read_text("utf-8"))) <= alerts().keys()


def test_the_table_of_alerts_is_that_of_the_rules() -> None:
    """The table in dashboards/README.md is not stale."""
    text = README.read_text("utf-8")
    assert rendered(text) == text, "stale: python -m tests.dashboards.alert_table"
    assert rendered(text.replace("<!-- alerts -->", "<!-- alerts -->\n\nstale")) == text


def test_rules_use_metrics_that_are_served() -> None:
    """Every metric in an expression is in the code's tables, every recorded one is recorded."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used: set[str] = set()
    for rule in rules():
        assert set(METRIC.findall(rule["expr"])) <= served()
        used |= set(RECORDED.findall(rule["expr"]))
        used |= set(RECORDED.findall(rule.get("annotations", {}).get("description", "")))
    assert used == recorded


def test_counters_in_rules_begin_at_0() -> None:
    """Only counters that stand at 0 from the start are asked for an increase."""
    counters = {family.name for family in IMAGE_FAMILIES if family.kind == "counter"}
    counters |= {family.name for family in CLOUD_FAMILIES if family.kind == "counter"}
    used = {name for rule in rules() for name in re.findall(r"\bopenstack_\w+_total", rule["expr"])}
    assert used
    assert used <= counters


def test_selectors_name_values_that_exist() -> None:
    """Every status, reason and attribute in a rule is one of the exporter's."""
    text = RULES.read_text("utf-8")
    assert set(re.findall(r'reason!?="(\w+)"', text)) <= REASONS.keys()
    assert set(re.findall(r'attribute="(\w+)"', text)) <= set(COUNTED_ATTRIBUTES)
    numbered = re.findall(r'(\d+) \* openstack_image_status\{status="(\w+)"\}', text)
    statuses = (*STATUSES, "unknown")
    assert numbered == [(str(number), status) for number, status in enumerate(statuses, 1)]
    explained = ", ".join(f"{status} {number}" for number, status in numbered)
    assert explained in re.sub(r"\n# +", " ", text)


@pytest.mark.parametrize("alert", alerts())
def test_alerts_do_not_depend_on_what_is_missing_or_where_the_exporter_runs(alert: str) -> None:
    """No ``_info`` metric, no ``absent`` of an image's series, no ``instance`` and no ``pod``."""
    expression = alerts()[alert]["expr"]
    assert "_info" not in expression
    assert not re.search(r"absent\w*\((?!up\b)", expression)
    assert not re.search(r"\b(instance|pod)\b", expression)


@pytest.mark.parametrize("alert", SIDES)
def test_changes_are_seen_from_two_sides(alert: str) -> None:
    """By the exporter's counter, and by the state that Prometheus remembers."""
    counter, state = SIDES[alert]
    expression = alerts()[alert]["expr"]
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    expression += "".join(recorded[name] for name in RECORDED.findall(expression))
    assert f"openstack_image_{counter}_total" in expression
    assert f"openstack_image_{state}:before" in expression


def test_the_state_before_is_that_before_the_time_a_change_is_told_of() -> None:
    """One duration is the window of every change and the offset of every state before."""
    befores = [rule["expr"] for rule in rules() if rule.get("record", "").endswith(":before")]
    offsets = {each for expr in befores for each in re.findall(r"offset (\w+)", expr)}
    expressions = [alerts()[alert]["expr"] for alert in SIDES]
    expressions += [rule["expr"] for rule in rules() if ":increase" in rule.get("record", "")]
    windows = {each for expr in expressions for each in re.findall(r"\[(\w+)\]", expr)}
    assert offsets == windows == {"1h"}


def test_gone_alerts_outlast_a_restart() -> None:
    """An image that is gone does not seem to be back while its exporter restarts."""
    for alert in ("OpenStackImageGone", "OpenStackImageMassDisappearance"):
        assert alerts()[alert]["keep_firing_for"] == "10m"


def test_an_outage_holds_back_only_what_could_not_be_asked() -> None:
    """A dead API silences no alert that comes from answers; a mass disappearance, single ones."""
    unasked = {"OpenStackImageDataStale", "OpenStackImageNeverPolled"}
    assert inhibitions() == {
        "OpenStackImageApiDown": (unasked | {"OpenStackImagePollFailures"}, ["cloud"]),
        "OpenStackImagePollingStopped": (unasked, ["cloud"]),
        "OpenStackImageMassDisappearance": ({"OpenStackImageGone"}, ["cloud"]),
        "OpenStackImage(Deactivated|Killed|BackToQueued|Stuck)": (
            {"OpenStackImageNotActive"},
            ["cloud", "image_id"],
        ),
        "OpenStackImageExporterDown": (
            {"OpenStackImageShardMissing"},
            ["job", "namespace"],
        ),
        "OpenStackImageGone": ({"OpenStackImageNotAsExpected"}, ["cloud", "image_id"]),
    }


def test_amtool_accepts_the_example() -> None:
    """Alertmanager's own checker reads the example configuration."""
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("amtool is not installed; on Debian it is in prometheus-alertmanager")
    ran = subprocess.run(
        [amtool, "check-config", ALERTMANAGER], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_links_of_the_readme_lead_somewhere() -> None:
    """Every relative link in dashboards/README.md is a file."""
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text("utf-8")):
        assert (FOLDER / link).exists(), link
