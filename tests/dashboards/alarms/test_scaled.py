"""Durations are shortened by one factor, all of them, and nothing else is changed."""

import re

import yaml

from tests.dashboards.alarms import scaled
from tests.dashboards.alert_table import RULES

DURATIONS = re.compile(r"\[\w+\]|offset \w+|(?:for|keep_firing_for|interval): \w+")


def test_one_factor_shortens_everything() -> None:
    """Each range, offset and waiting time of the rules is what it was, divided by the factor."""
    before = RULES.read_text("utf-8")
    after = yaml.safe_dump(scaled.rules(yaml.safe_load(before), 10), width=10_000)
    was = sorted(_seconds(yaml.safe_dump(yaml.safe_load(before), width=10_000)))
    now = sorted(_seconds(after))
    assert len(was) > 60
    assert now == [each / 10 for each in was]


def test_a_factor_of_one_changes_no_rule() -> None:
    """Expressions differ only in how their durations are written."""
    loaded = yaml.safe_load(RULES.read_text("utf-8"))
    same = scaled.rules(loaded, 1)
    for before, after in zip(loaded["groups"], same["groups"], strict=True):
        for rule, other in zip(before["rules"], after["rules"], strict=True):
            assert rule.keys() == other.keys()
            assert DURATIONS.sub("", rule["expr"]) == DURATIONS.sub("", other["expr"])


def test_other_words_are_left_alone() -> None:
    """A duration in a sentence, or a number, is not one of a query."""
    text = "for 10 minutes; rate(x[10m] offset 1h) > 30 and y == 60"
    assert scaled.in_queries(text, 10) == (
        "for 10 minutes; rate(x[60000ms] offset 360000ms) > 30 and y == 60"
    )


def _seconds(text: str) -> list[float]:
    found = (re.sub(r"^\W*(offset |\w+: )?|\W*$", "", each) for each in DURATIONS.findall(text))
    return [scaled.seconds(each, 1) for each in found]
