"""The only function that tests use to wait for a condition."""

import inspect
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

DEADLINE = 30.0
"""Seconds after which a test fails. Generous: only a failing test ever waits that long."""


def wait_until(
    condition: Callable[[], Value | None],
    timeout: float = DEADLINE,
    *,
    pause: float = 0.01,
    details: Callable[[], str] | None = None,
) -> Value:
    """Call ``condition`` until it returns a true value, and return that value.

    Raises:
        AssertionError: It did not within ``timeout`` seconds. The message has the source of the
            condition, its last value, and ``details()``, for example the log of a program.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            message = f"not within {timeout:g} s: {_source(condition)}\nlast value: {value!r}"
            raise AssertionError(f"{message}\n{details()}" if details else message)
        time.sleep(pause)
    return value


def _source(condition: Callable[[], object]) -> str:
    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):  # e.g. a functools.partial, a bound method of a C type
        return repr(condition)
