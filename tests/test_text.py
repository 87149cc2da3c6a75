"""Tests of exporter.printable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
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
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    """Control characters, direction marks and halves of characters come as Python writes them."""
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_the_result_prints(text: str) -> None:
    """Whatever the text, the result prints as itself, on one line and in any UTF-8."""
    result = printable(text)
    assert result.isprintable()
    assert result.encode("utf-8").decode("utf-8") == result
    assert printable(result) == result
