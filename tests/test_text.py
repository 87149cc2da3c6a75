"""Escaping and shortening of untrusted text, durations and times in words."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.responses.parsers import utc_timestamp
from exporter.text import (
    approximate_duration,
    escape,
    excerpt,
    format_utc,
    shorten,
    shorten_distinctly,
    single_line,
)


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
def test_unprintable_characters_are_escaped(text: str, escaped: str) -> None:
    assert escape(text) == escaped


@given(st.text(st.characters()))
def test_escaped_text_is_printable_and_encodable(text: str) -> None:
    escaped = escape(text)
    assert escaped.isprintable()
    assert escaped.encode("utf-8").decode("utf-8") == escaped
    assert escape(escaped) == escaped


@pytest.mark.parametrize(
    ("text", "shortened"), [("", ""), ("abcdefgh", "abcdefgh"), ("abcdefghi", "abcde...")]
)
def test_long_text_is_cut_with_an_ellipsis(text: str, shortened: str) -> None:
    assert shorten(text, 8) == shortened


def test_ellipsis_can_be_a_single_character() -> None:
    assert shorten("abcdefghi", 8, "…") == "abcdefg…"


def test_single_line_collapses_whitespace_and_escapes_the_rest() -> None:
    assert single_line(" a\n b\t\tc\x1b[2J ", 100) == "a b c\\x1b[2J"


@given(st.text(st.characters()), st.integers(3, 50))
def test_single_line_is_printable_and_never_too_long(text: str, length: int) -> None:
    line = single_line(text, length)
    assert line.isprintable()
    assert len(line) <= length


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ü\n", "'\\xfc\\n'"),
        (b"\xff", "'\\\\xff'"),
        (17, "17"),
        (None, "None"),
        ({"a": 1}, "an object"),
        ([1], "a list"),
        ("x" * 100, "'" + "x" * 56 + "..."),
    ],
)
def test_excerpt_is_quoted_ascii_of_limited_length(value: object, expected: str) -> None:
    assert excerpt(value) == expected


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
def test_duration_is_approximated_down_to_its_largest_unit(seconds: float, words: str) -> None:
    assert approximate_duration(seconds) == words


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


def test_text_that_fits_is_not_shortened_distinctly() -> None:
    for text in ("a" * 64, "é" * 32, "東" * 21 + "a", "🐧" * 16):
        assert shorten_distinctly(text, 64) == text


@pytest.mark.parametrize("text", ["é" * 33, "東" * 22, "🐧" * 17])
def test_bytes_and_not_characters_are_limited(text: str) -> None:
    shortened = shorten_distinctly(text, 64)
    assert shortened != text
    assert len(shortened.encode()) <= 64


def test_shortened_text_ends_in_an_ellipsis_and_a_hash_of_the_whole_text() -> None:
    end = "…635361c48bb9"  # printf 'a%.0s' $(seq 65) | sha256sum
    assert shorten_distinctly("a" * 65, 64) == "a" * (64 - len(end.encode())) + end


@given(st.text(st.characters(codec="utf-8"), min_size=10), st.integers(64, 80))
def test_shortened_texts_fit_and_differ(text: str, size: int) -> None:
    long = text * 10
    texts = [long, long + "a", "b" + long, long[:-1]]
    shortened = [shorten_distinctly(text, size) for text in texts]
    assert all(len(text.encode()) <= size for text in shortened)
    assert len(set(shortened)) == len(set(texts))
