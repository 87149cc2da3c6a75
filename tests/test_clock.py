import time

import pytest

from exporter.clock import now, steady


def test_steady_clock_never_goes_back() -> None:
    readings = [steady() for _ in range(1000)]
    assert readings == sorted(readings)
    assert readings[-1] > readings[0]


def test_steady_clock_is_the_time_since_boot_on_linux() -> None:
    with open("/proc/uptime", encoding="ascii") as file:
        uptime = float(file.read().split()[0])
    assert steady() == pytest.approx(uptime, abs=5)


def test_now_reads_both_clocks() -> None:
    before = steady(), time.time()
    instant = now()
    after = steady(), time.time()
    assert before[0] <= instant.monotonic <= after[0]
    assert before[1] <= instant.wall <= after[1]
