"""The only function that tests use to wait for a condition."""

import inspect
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

DEADLINE = 60.0
"""Seconds after which a test fails. Generous: only a failing test ever waits that long."""

PAUSE_LIMIT = 0.1
"""Longest pause in seconds, unless the caller sets a longer one."""


def wait_until(
    condition: Callable[[], Value | None],
    timeout: float = DEADLINE,
    *,
    pause: float = 0.01,
    details: Callable[[], str] | None = None,
) -> Value:
    """Call ``condition`` until it returns a true value, and return that value.

    The pause grows to a tenth of the time waited, because many conditions send a request.

    Raises:
        AssertionError: It did not within ``timeout`` seconds. The message has the source of the
            condition, its last value, and ``details()``, for example the log of a program.
    """
    started = time.monotonic()
    while not (value := condition()):
        waited = time.monotonic() - started
        if waited > timeout:
            message = f"not within {timeout:g} s: {_source(condition)}\nlast value: {value!r}"
            raise AssertionError(f"{message}\n{details()}" if details else message)
        time.sleep(max(pause, min(waited / 10, PAUSE_LIMIT)))
    return value


def _source(condition: Callable[[], object]) -> str:
    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):  # e.g. a functools.partial, a bound method of a C type
        return repr(condition)
