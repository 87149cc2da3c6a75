"""Tests of exporter.image.status_words."""

from dataclasses import replace

import pytest

from exporter.model.image import STATUSES, Image
from exporter.model.instant import Instant
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.outcome import Failed, Found, Gone, Outcome
from exporter.model.status_words import Standing, state

ACTIVE = Image("v1", "an-id", "active")
NOW = Instant(monotonic=100.0, wall=1_000_000.0)


def after(*outcomes: Outcome) -> Observation:
    """What is known after these polls."""
    seen = NEVER_POLLED
    for outcome in outcomes:
        seen = seen.with_outcome(outcome, NOW, 60.0)
    return seen


@pytest.mark.parametrize(
    ("seen", "words", "standing"),
    [
        (NEVER_POLLED, "not polled yet", "unknown"),
        (after(Failed("timeout")), "unknown", "unknown"),
        (after(Found(ACTIVE)), "active", "good"),
        (after(Found(ACTIVE), Failed("timeout")), "active", "good"),
        (after(Found(ACTIVE), Gone()), "gone", "bad"),
        (after(Gone(), Failed("timeout")), "gone", "bad"),
        (after(Found(replace(ACTIVE, status="deleted"))), "deleted", "bad"),
        (after(Found(ACTIVE)).as_of(Instant(161.0, NOW.wall)), "unknown", "unknown"),
        (after(Gone()).as_of(Instant(1e9, NOW.wall)), "gone", "bad"),
    ],
)
def test_state(seen: Observation, words: str, standing: Standing) -> None:
    """What is known is a word, kept through failures until it is too old."""
    assert state(seen) == (words, standing)


@pytest.mark.parametrize("status", [*STATUSES, "of a later version"])
def test_only_an_active_image_is_good_news(status: str) -> None:
    """Nothing boots from an image in any other status."""
    standing = "good" if status == "active" else "bad"
    assert state(after(Found(replace(ACTIVE, status=status)))) == (status, standing)
