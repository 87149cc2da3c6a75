import logging
from collections import Counter
from typing import Any

import pytest

from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.outcome import Failed, Found, Gone, Outcome
from exporter.model.target import Target
from exporter.polling.engine.types import CycleStats
from exporter.polling.event_log import MAX_TRANSITIONS, CloudEventLog

TARGET = Target("lab", "3c3d1d01", "golden")
UP = CloudState("lab", 60.0, api_up=True)
DOWN = CloudState("lab", 60.0, api_up=False)
NEW = CloudState("lab", 60.0)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> "Lines":
    """What is logged, debug lines left out."""
    caplog.set_level(logging.INFO)
    return Lines(caplog)


class Lines:
    """Log lines as level, message and fields."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def take(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Those since the last time."""
        taken = [
            (record.levelname, record.getMessage(), getattr(record, "fields", {}))
            for record in self._caplog.records
        ]
        self._caplog.clear()
        return taken

    def words(self) -> list[str]:
        """Their messages."""
        return [message for _, message, _ in self.take()]


def after(before: Observation, outcome: Outcome) -> Observation:
    """The next observation."""
    return before.with_outcome(outcome, Instant(1.0, 1.0), 900.0)


def test_an_unchanged_poll_says_nothing(lines: Lines) -> None:
    """Neither the first answer nor the same one again makes a line."""
    event_log = CloudEventLog("lab")
    first = after(NEVER_POLLED, Found(Image("v1", "3c3d1d01", "active")))
    second = after(first, Found(Image("v1", "3c3d1d01", "active")))
    event_log.image_polled(TARGET, first)
    event_log.image_polled(TARGET, second)
    assert lines.take() == []


def test_a_change_is_one_line_with_old_and_new(lines: Lines) -> None:
    """It names the image, its alias, what changed, and the request that told."""
    first = after(NEVER_POLLED, Found(Image("v1", "3c3d1d01", "queued")))
    second = after(first, Found(Image("v1", "3c3d1d01", "active"), "req-1"))
    CloudEventLog("lab").image_polled(TARGET, second)
    assert lines.take() == [
        (
            "INFO",
            "image changed",
            {
                "cloud": "lab",
                "image": "golden",
                "image_id": "3c3d1d01",
                "request_id": "req-1",
                "what": "status",
                "old": "queued",
                "new": "active",
            },
        )
    ]


def test_a_disappearance_is_a_warning(lines: Lines) -> None:
    """What machines may not boot after is said louder."""
    first = after(NEVER_POLLED, Found(Image("v1", "3c3d1d01", "active")))
    CloudEventLog("lab").image_polled(TARGET, after(first, Gone()))
    level, message, fields = lines.take()[0]
    assert (level, message, fields["what"], fields["new"]) == (
        "WARNING",
        "image changed",
        "existence",
        "gone",
    )


def test_a_failure_is_said_when_it_begins_changes_and_ends(lines: Lines) -> None:
    """Not while it lasts."""
    event_log = CloudEventLog("lab")
    seen = after(NEVER_POLLED, Found(Image("v1", "3c3d1d01", "active")))
    for outcome, expected in (
        (Failed("timeout", "slow"), ["poll failed"]),
        (Failed("timeout", "slow"), []),
        (Failed("forbidden", "HTTP 403"), ["poll failed"]),
        (Found(Image("v1", "3c3d1d01", "active")), ["poll recovered"]),
    ):
        following = after(seen, outcome)
        event_log.image_polled(TARGET, following)
        seen = following
        assert lines.words() == expected


def test_not_to_be_asked_is_not_said_of_each_image(lines: Lines) -> None:
    """While the breaker is open a probe fails and the rest is not asked: no line a cycle."""
    event_log = CloudEventLog("lab")
    seen = NEVER_POLLED
    for outcome, expected in (
        (Failed("connection", "refused"), ["poll failed"]),
        (Failed("not_polled"), []),
        (Failed("connection", "refused"), []),
        (Failed("not_polled"), []),
        (Failed("forbidden"), ["poll failed"]),
        (Failed("not_polled"), []),
        (Found(Image("v1", "3c3d1d01", "active")), ["poll recovered"]),
    ):
        seen = after(seen, outcome)
        event_log.image_polled(TARGET, seen)
        assert lines.words() == expected


def test_an_outage_does_not_flood_the_log(lines: Lines) -> None:
    """After twenty failures that begin in one cycle, the rest is one line."""
    assert MAX_TRANSITIONS == 20
    event_log = CloudEventLog("lab")
    for reason in ("timeout", "connection"):
        event_log.cycle_started()
        for number in range(MAX_TRANSITIONS + 5):
            target = Target("lab", f"image-{number}", "alias")
            event_log.image_polled(target, after(NEVER_POLLED, Failed(reason)))
        event_log.cycle_finished(UP, UP, CycleStats(Counter()))
        said = lines.take()
        assert [message for _, message, _ in said].count("poll failed") == MAX_TRANSITIONS
        assert said[-1] == (
            "WARNING",
            "further poll state changes suppressed",
            {"cloud": "lab", "suppressed": 5},
        )


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (NEW, UP, ["first cycle finished"]),
        (NEW, DOWN, ["first cycle finished", "API is down"]),
        (UP, UP, []),
        (UP, DOWN, ["API is down"]),
        (DOWN, DOWN, []),
        (DOWN, UP, ["API recovered"]),
    ],
)
def test_the_api_is_told_of_when_it_changes(
    lines: Lines, before: CloudState, now: CloudState, expected: list[str]
) -> None:
    """Once when it goes, once when it is back; a first cycle says that it is over."""
    CloudEventLog("lab").cycle_finished(before, now, CycleStats(Counter({"timeout": 2})))
    assert lines.words() == expected


def test_a_mass_disappearance_is_an_error_once(lines: Lines) -> None:
    """It is said when it is believed, not in every cycle after."""
    lost = CloudState("lab", 60.0, api_up=True, mass_disappearance=True)
    event_log = CloudEventLog("lab")
    event_log.cycle_finished(UP, lost, CycleStats(Counter()))
    event_log.cycle_finished(lost, lost, CycleStats(Counter()))
    assert [(level, message.startswith("all images")) for level, message, _ in lines.take()] == [
        ("ERROR", True)
    ]


def test_a_wait_that_was_capped_is_said_once_a_cycle(lines: Lines) -> None:
    """Every answer of an outage may carry the same Retry-After."""
    event_log = CloudEventLog("lab")
    for _ in range(2):
        event_log.cycle_started()
        event_log.retry_after_capped(300.0)
        event_log.retry_after_capped(300.0)
        assert lines.take() == [
            (
                "WARNING",
                "Retry-After is too long, negative or unreadable",
                {"cloud": "lab", "waits": 300.0},
            )
        ]


def test_too_little_concurrency_is_said_with_what_would_do(lines: Lines) -> None:
    """The operator learns the number to configure."""
    event_log = CloudEventLog("lab")
    event_log.cycle_too_short(7, concurrency=16, concurrency_needed=40, rate_needed=12.345)
    assert lines.take()[0][2] == {
        "cloud": "lab",
        "not_polled": 7,
        "concurrency": 16,
        "concurrency_needed": 40,
        "rate_needed": 12.3,
    }


def test_it_is_said_once_as_long_as_it_lasts(lines: Lines) -> None:
    """A line in every cycle would tell nothing new; after a good cycle it is news again."""
    event_log = CloudEventLog("lab")
    said = []
    for not_polled in (7, 7, 0, 7):
        if not_polled:
            event_log.cycle_too_short(
                not_polled, concurrency=16, concurrency_needed=40, rate_needed=1.0
            )
        event_log.cycle_finished(
            UP, UP, CycleStats(Counter({"not_polled": not_polled} if not_polled else {}))
        )
        said.append([message for _, message, _ in lines.take() if "too short" in message])
    assert [len(each) for each in said] == [1, 0, 0, 1]
