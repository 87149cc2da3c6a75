"""Scaling of the rules: all durations are shortened by one factor, and nothing else changes."""

import re

import yaml

from tests.dashboards.alert_table import RULES
from tests.e2e_alerts import scaled

DURATIONS = re.compile(r"\[\w+(?=[\]:])|:\w+\]|offset \w+|(?:for|keep_firing_for|interval): \w+")


def test_every_duration_of_the_rules_is_divided_by_the_factor() -> None:
    before = RULES.read_text("utf-8")
    after = yaml.safe_dump(scaled.rules(yaml.safe_load(before), 10), width=10_000)
    originals = sorted(_seconds(yaml.safe_dump(yaml.safe_load(before), width=10_000)))
    shortened = sorted(_seconds(after))
    assert len(originals) > 60
    assert shortened == [duration / 10 for duration in originals]


def test_factor_of_one_changes_only_how_durations_are_written() -> None:
    loaded = yaml.safe_load(RULES.read_text("utf-8"))
    same = scaled.rules(loaded, 1)
    for before, after in zip(loaded["groups"], same["groups"], strict=True):
        for rule, other in zip(before["rules"], after["rules"], strict=True):
            assert rule.keys() == other.keys()
            assert DURATIONS.sub("", rule["expr"]) == DURATIONS.sub("", other["expr"])


def test_durations_in_sentences_and_numbers_are_not_changed() -> None:
    text = (
        "for 10 minutes; rate(x[10m] offset 1h) > 30 and y == 60 and (z > 5)[30m:4m] > 5"
        " or a > time() - 60"
    )
    assert scaled.scaled_queries(text, 10) == (
        "for 10 minutes; rate(x[60000ms] offset 360000ms) > 30 and y == 60"
        " and (z > 5)[180000ms:24000ms] > 5"
        " or a > time() - 6"
    )


def _seconds(text: str) -> list[float]:
    durations = (
        re.sub(r"^\W*(offset |\w+: )?|\W*$", "", match) for match in DURATIONS.findall(text)
    )
    return [scaled.seconds(duration, 1) for duration in durations]
