import itertools

import pytest

from tests.support.wait import wait_until


def test_first_true_value_is_returned() -> None:
    values = iter([0, None, "", 7, 8])
    assert wait_until(lambda: next(values)) == 7


def test_message_shows_the_condition_its_last_value_and_details() -> None:
    values = itertools.repeat(())
    with pytest.raises(AssertionError) as raised:
        wait_until(lambda: next(values), timeout=0.01, details=lambda: "a log")
    message = str(raised.value)
    assert "not within 0.01 s" in message
    assert "lambda: next(values)" in message
    assert message.endswith("last value: ()\na log")


def test_condition_without_source_is_shown_by_name() -> None:
    with pytest.raises(AssertionError, match="method-wrapper"):
        wait_until(itertools.repeat(False).__next__, timeout=0.01)
