from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.parsers import utc_timestamp
from exporter.text import format_duration, format_utc, printable


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("", ""),
        ("Ubuntu 24.04 “Noble” ü 東京", "Ubuntu 24.04 “Noble” ü 東京"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2J\x9b\x7f", "\\x1b[2J\\x9b\\x7f"),
        ("\u202egold\u2066", "\\u202egold\\u2066"),
        ("\u2028\u00a0\udcff", "\\u2028\\xa0\\udcff"),
        ("'\"\\", "'\"\\"),
    ],
)
def test_characters_that_do_not_print_are_escaped(text: str, escaped: str) -> None:
    assert printable(text) == escaped


@given(st.text(st.characters()))
def test_printable_text_is_one_line_in_any_encoding(text: str) -> None:
    result = printable(text)
    assert result.isprintable()
    assert result.encode("utf-8").decode("utf-8") == result
    assert printable(result) == result


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
def test_duration_is_rounded_down_to_its_largest_unit(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


def test_time_is_utc_without_a_fraction() -> None:
    assert format_utc(1_800_000_000.999) == "2027-01-15T08:00:00Z"
    assert format_utc(-0.5) == "1969-12-31T23:59:59Z"


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z"),
    ],
)
def test_time_outside_the_calendar_is_clamped(timestamp: str, text: str) -> None:
    assert format_utc(utc_timestamp(timestamp)) == text


@given(st.floats(allow_nan=False))
def test_every_number_has_a_time_that_python_parses(timestamp: float) -> None:
    assert len(format_utc(timestamp)) == 20
    assert datetime.fromisoformat(format_utc(timestamp)).tzinfo is not None
