from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.parsers import utc_timestamp
from exporter.web.pages.times import span, utc


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1.0, "0 s"),
        (0.0, "0 s"),
        (59.4, "59 s"),
        (59.9, "59 s"),
        (60.0, "1 min"),
        (3599.0, "59 min"),
        (3600.0, "1 h"),
        (86400.0 * 3.5, "3 d"),
    ],
)
def test_a_length_of_time_is_in_words(seconds: float, words: str) -> None:
    """Seconds are said in their largest unit, in whole ones that are over."""
    assert span(seconds) == words


def test_a_time_is_in_utc_to_the_second() -> None:
    """The form has no fraction and ends in Z; fractions are left off."""
    assert utc(1_800_000_000.999) == "2027-01-15T08:00:00Z"
    assert utc(-0.5) == "1969-12-31T23:59:59Z"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_beyond_all_times_is_the_nearest(told: str, shown: str) -> None:
    """What an answer may give and no calendar has does no harm."""
    assert utc(utc_timestamp(told)) == shown


@given(st.floats(allow_nan=False))
def test_every_number_has_a_time(wall: float) -> None:
    """Whatever the number, the text is one that Python reads, of a fixed length."""
    assert len(utc(wall)) == 20
    assert datetime.fromisoformat(utc(wall)).tzinfo is not None
