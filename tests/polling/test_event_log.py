import logging
from collections import Counter
from dataclasses import replace
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
from exporter.polling.failure_tracker import MAX_CAUSE_CHANGES

TARGET = Target("lab", "3c3d1d01", "golden")
UP = CloudState("lab", 60.0, api_up=True)
DOWN = CloudState("lab", 60.0, api_up=False)
NEW = CloudState("lab", 60.0)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> "Lines":
    """Return what is logged at level INFO and above."""
    caplog.set_level(logging.INFO)
    return Lines(caplog)


class Lines:
    """Log lines as level, message and fields."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def take(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return the lines since the last call."""
        taken = [
            (record.levelname, record.getMessage(), getattr(record, "fields", {}))
            for record in self._caplog.records
        ]
        self._caplog.clear()
        return taken

    def messages(self) -> list[str]:
        """Return the messages of the lines since the last call."""
        return [message for _, message, _ in self.take()]


def after(before: Observation, outcome: Outcome) -> Observation:
    """Return the observation after a poll."""
    return before.with_outcome(outcome, Instant(1.0, 1.0), 900.0)


def test_first_and_unchanged_polls_are_not_logged(lines: Lines) -> None:
    event_log = CloudEventLog("lab")
    first = after(NEVER_POLLED, Found(Image("v1", "3c3d1d01", "active")))
    second = after(first, Found(Image("v1", "3c3d1d01", "active")))
    event_log.image_polled(TARGET, first)
    event_log.image_polled(TARGET, second)
    assert lines.take() == []


def test_a_change_is_one_line_with_old_and_new_value(lines: Lines) -> None:
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
    first = after(NEVER_POLLED, Found(Image("v1", "3c3d1d01", "active")))
    CloudEventLog("lab").image_polled(TARGET, after(first, Gone()))
    level, message, fields = lines.take()[0]
    assert (level, message, fields["what"], fields["new"]) == (
        "WARNING",
        "image changed",
        "existence",
        "gone",
    )


def test_a_failed_poll_is_logged_when_it_starts_changes_and_ends(lines: Lines) -> None:
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
        assert lines.messages() == expected


def test_a_change_of_the_cause_is_logged_though_the_reason_stays(lines: Lines) -> None:
    """A refused token needs another repair than a missing token file."""
    event_log = CloudEventLog("lab")
    seen = NEVER_POLLED
    no_file = "sign-in: token file /run/token cannot be read: No such file or directory"
    for detail, expected in (
        ("HTTP 401", ["HTTP 401"]),
        ("HTTP 401", []),
        (no_file, [no_file]),
        (no_file, []),
        ("HTTP 401", ["HTTP 401"]),
    ):
        seen = after(seen, Failed("unauthorized", detail))
        event_log.image_polled(TARGET, seen)
        assert [fields["detail"] for _, _, fields in lines.take()] == expected


def test_a_detail_that_varies_is_logged_once(lines: Lines) -> None:
    event_log = CloudEventLog("lab")
    seen = NEVER_POLLED
    for number in range(50):
        event_log.cycle_started()
        seen = after(seen, Failed("timeout", f"no response from 10.0.0.{number} in {number} s"))
        event_log.image_polled(TARGET, seen)
    assert lines.messages() == ["poll failed"]


def test_causes_that_alternate_in_an_outage_do_not_flood_the_log(lines: Lines) -> None:
    event_log = CloudEventLog("lab")
    seen = dict.fromkeys((Target("lab", f"image-{n}", "alias") for n in range(40)), NEVER_POLLED)
    per_cycle = []
    for number in range(30):
        event_log.cycle_started()
        detail = "reset by peer" if number % 2 else "refused"
        for target, before in seen.items():
            seen[target] = after(before, Failed("connection", detail))
            event_log.image_polled(target, seen[target])
        event_log.cycle_finished(DOWN, DOWN, CycleStats())
        per_cycle.append(len(lines.take()))
    assert per_cycle == [MAX_TRANSITIONS + 1] * (1 + MAX_CAUSE_CHANGES) + [0] * (
        29 - MAX_CAUSE_CHANGES
    )


def test_not_polled_is_not_logged_per_image(lines: Lines) -> None:
    """While the breaker is open, a probe fails and the other images are not polled."""
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
        assert lines.messages() == expected


def test_an_outage_does_not_flood_the_log(lines: Lines) -> None:
    """After twenty failures that start in one cycle, one line counts the others."""
    assert MAX_TRANSITIONS == 20
    event_log = CloudEventLog("lab")
    for reason in ("timeout", "connection"):
        event_log.cycle_started()
        for number in range(MAX_TRANSITIONS + 5):
            target = Target("lab", f"image-{number}", "alias")
            event_log.image_polled(target, after(NEVER_POLLED, Failed(reason)))
        event_log.cycle_finished(UP, UP, CycleStats())
        logged = lines.take()
        assert [message for _, message, _ in logged].count("poll failed") == MAX_TRANSITIONS
        assert logged[-1] == (
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
def test_an_api_that_goes_down_or_recovers_is_logged_once(
    lines: Lines, before: CloudState, now: CloudState, expected: list[str]
) -> None:
    CloudEventLog("lab").cycle_finished(before, now, CycleStats(Counter({"timeout": 2})))
    assert lines.messages() == expected


def test_a_failed_sign_in_is_logged_when_it_starts_changes_its_cause_and_ends(
    lines: Lines,
) -> None:
    event_log = CloudEventLog("lab")
    for failure, expected in (
        (None, []),
        (Failed("unauthorized", "HTTP 401 (req-1)"), [("WARNING", "sign-in failed")]),
        (Failed("unauthorized", "HTTP 401 (req-2)"), []),
        (Failed("unauthorized", "token file /t cannot be read"), [("WARNING", "sign-in failed")]),
        (Failed("unauthorized", "token file /t cannot be read"), []),
        (None, [("INFO", "sign-in recovered")]),
        (None, []),
    ):
        now = replace(DOWN, auth_failure=failure)
        event_log.cycle_finished(DOWN, now, CycleStats())
        logged = lines.take()
        assert [(level, message) for level, message, _ in logged] == expected
        if failure is not None:
            about = {"cloud": "lab", "reason": failure.reason, "detail": failure.detail}
            assert all(fields == about for _, _, fields in logged)


def test_a_mass_disappearance_is_an_error_once(lines: Lines) -> None:
    lost = CloudState("lab", 60.0, api_up=True, mass_disappearance=True)
    event_log = CloudEventLog("lab")
    event_log.cycle_finished(UP, lost, CycleStats())
    event_log.cycle_finished(lost, lost, CycleStats())
    assert [(level, message.startswith("all images")) for level, message, _ in lines.take()] == [
        ("ERROR", True)
    ]


def test_an_unusable_retry_after_is_logged_once_a_cycle(lines: Lines) -> None:
    """Every response of an outage may carry the same Retry-After."""
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


def test_a_cycle_that_is_too_short_is_logged_with_the_concurrency_needed(lines: Lines) -> None:
    event_log = CloudEventLog("lab")
    event_log.cycle_too_short(7, concurrency=16, concurrency_needed=40, rate_needed=12.345)
    assert lines.take()[0][2] == {
        "cloud": "lab",
        "not_polled": 7,
        "concurrency": 16,
        "concurrency_needed": 40,
        "rate_needed": 12.3,
    }


def test_too_short_cycles_are_logged_once_until_a_good_one(lines: Lines) -> None:
    event_log = CloudEventLog("lab")
    logged = []
    for not_polled in (7, 7, 0, 7):
        if not_polled:
            event_log.cycle_too_short(
                not_polled, concurrency=16, concurrency_needed=40, rate_needed=1.0
            )
        event_log.cycle_finished(
            UP, UP, CycleStats(Counter({"not_polled": not_polled} if not_polled else {}))
        )
        logged.append([message for _, message, _ in lines.take() if "too short" in message])
    assert [len(messages) for messages in logged] == [1, 0, 0, 1]
