"""The rules with late records: every rule is copied, and sees records an evaluation later."""

import yaml

from tests.dashboards.alert_table import RULES
from tests.dashboards.test_rules import RECORDED
from tests.e2e_alerts.late_rules import LATE, late_groups

GROUPS = [
    {
        "name": "state",
        "rules": [{"record": "a:b", "expr": 'm or a:b{x="y"} offset 55m or o:b[5m]'}],
    },
    {"name": "other", "rules": [{"record": "o:b", "expr": "m"}]},
    {"name": "alerts", "rules": [{"alert": "A", "labels": {"severity": "info"}, "expr": "a:b"}]},
]


def test_rules_see_records_of_other_groups_an_evaluation_later() -> None:
    state, other, alerts = (group["rules"][0] for group in late_groups({"groups": GROUPS}, "30s"))
    assert state["expr"] == 'm or late_a:b{x="y"} offset 3300s or late_o:b[5m] offset 30s'
    assert other["expr"] == "m"
    assert alerts["expr"] == "late_a:b offset 30s"
    assert alerts["labels"] == {"severity": "info", "ruler": LATE}


def test_offset_of_an_alert_is_added_to_that_of_its_expression() -> None:
    rule = {"alert": "A", "labels": {}, "expr": "a:b[1h] offset 5m"}
    groups = [*GROUPS, {"name": "more", "rules": [rule]}]
    assert late_groups({"groups": groups}, "30s")[-1]["rules"][0]["expr"] == (
        "late_a:b[1h] offset 330s"
    )


def test_late_rules_read_late_records_in_place_of_all_records() -> None:
    loaded = yaml.safe_load(RULES.read_text("utf-8"))
    alerts_that_read_records = 0
    for group, late_group in zip(loaded["groups"], late_groups(loaded, "30s"), strict=True):
        for rule, late in zip(group["rules"], late_group["rules"], strict=True):
            names = RECORDED.findall(rule["expr"])
            assert RECORDED.findall(late["expr"].replace(f"{LATE}_", "")) == names
            assert RECORDED.findall(late["expr"]) == []
            if "alert" in rule and names:
                alerts_that_read_records += 1
                assert late["expr"].count(" offset 30s") == len(names)
    assert alerts_that_read_records > 10
