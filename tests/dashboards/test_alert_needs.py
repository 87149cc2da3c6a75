"""The table of the metrics that each alert needs, which the package contains."""

import json

import pytest
import yaml

from dashboards.generate import alert_needs, prometheusrule
from exporter.metrics.selection.alert_rules import FILE, alert_rules
from tests.dashboards.alert_table import alerts

A, B, C = "openstack_image_exists", "openstack_image_status", "openstack_image_public"


def needs(expr: str, **records: str) -> list[list[str]]:
    """Return the sets of families with which an alert on this expression can fire."""
    rules = [{"record": name, "expr": text} for name, text in records.items()]
    group = {"rules": [*rules, {"alert": "Alert", "expr": expr}]}
    document = json.loads(alert_needs.text(yaml.safe_dump({"groups": [group]})))
    result: list[list[str]] = document["Alert"]["fires_with"]
    return result


def test_table_is_current() -> None:
    """``make dashboards`` writes it."""
    rules = prometheusrule.RULES.read_text("utf-8")
    assert FILE.read_text("ascii") == alert_needs.text(rules)
    assert {rule.alert for rule in alert_rules()} == alerts().keys()
    for rule in alert_rules():
        assert all(rule.uses >= families for families in rule.fires_with)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (f"{A} == 0", [[A]]),
        (f"{A} or {B}", [[A], [B]]),
        (f"{A} and {B}", [[A, B]]),
        (f"{A} unless {B}", [[A]]),
        (f"({A} or {B}) and on (cloud) {C}", [[A, C], [C, B]]),
        (f"{A} or ({A} and {B})", [[A]]),
        (f"{A} * 100 + {B}", [[A, B]]),
        (f"max by (cloud) (rate({A}[5m])) > 0.5", [[A]]),
        (f"count_over_time((-{A} > 0)[30m:1m]) > 10", [[A]]),
        (f"absent({A})", [[]]),
        ("up == 0", [[]]),
        ("vector(time()) > 5", [[]]),
    ],
)
def test_parts_of_an_expression_decide_what_it_needs(expr: str, expected: list[list[str]]) -> None:
    assert needs(expr) == expected


def test_recording_rules_are_followed() -> None:
    assert needs("r and s", r=A, s=f"{B} or last_over_time(s[1h])") == [[A, B]]


def test_rule_with_only_its_own_results_never_fires() -> None:
    assert needs("r", r="last_over_time(r[1h])") == []
