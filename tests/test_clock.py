"""Tests of exporter.clock."""

import time

import pytest

from exporter.clock import now, steady


def test_steady_never_goes_back() -> None:
    """Readings of the steady clock rise, and they move."""
    readings = [steady() for _ in range(1000)]
    assert readings == sorted(readings)
    assert readings[-1] > readings[0]


def test_steady_is_the_clock_that_counts_while_the_machine_sleeps() -> None:
    """On Linux it is the time since boot."""
    with open("/proc/uptime", encoding="ascii") as file:
        uptime = float(file.read().split()[0])
    assert steady() == pytest.approx(uptime, abs=5)


def test_now_is_both_clocks() -> None:
    """A moment lies between two readings of either clock."""
    before = steady(), time.time()
    moment = now()
    after = steady(), time.time()
    assert before[0] <= moment.monotonic <= after[0]
    assert before[1] <= moment.wall <= after[1]
