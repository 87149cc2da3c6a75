import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.engine.pacing import MAX_RETRY_BACKOFF, CyclePacing, schedule
from tests.support.simulated_cycle import START, targets


@given(st.integers(0, 2000), st.floats(0, 1))
def test_backoff_is_bounded(attempt: int, chance: float) -> None:
    """After any number of attempts, the wait is at most eight seconds."""
    assert (
        0
        <= CyclePacing(60, 10, 16).backoff(min(attempt, 1000), lambda: chance)
        <= MAX_RETRY_BACKOFF
    )


@pytest.mark.parametrize(
    ("interval", "timeout", "last"), [(60, 10, 54), (60, 2, 58), (10, 10, 9), (0.5, 0.1, 0.45)]
)
def test_no_request_starts_near_the_end_of_the_cycle(
    interval: float, timeout: float, last: float
) -> None:
    assert CyclePacing(interval, timeout, 1).sending_time == pytest.approx(last)


@pytest.mark.parametrize(
    ("polls", "seconds", "needed"), [(10_000, 0.02, 5), (10_000, 0.5, 105), (1, 0.0, 1), (0, 1, 1)]
)
def test_concurrency_needed(polls: int, seconds: float, needed: int) -> None:
    """The result starts all polls within 80 % of the interval, and is at least 1."""
    assert CyclePacing(60, 10, 16).concurrency_needed(polls, seconds) == needed


@given(st.integers(0, 50), st.floats(0.1, 1000))
def test_schedule_has_one_time_per_image_in_order(count: int, interval: float) -> None:
    watched = targets(*(str(number) for number in range(count)))
    due = schedule(watched, frozenset({"3", "7"}), START, interval)
    assert sorted(target.image_id for _, target in due) == sorted(
        target.image_id for target in watched
    )
    times = [time for time, _ in due]
    assert times == sorted(times)
    assert all(START <= time <= START + 0.8 * interval for time in times)
    assert all(time == START for time, target in due if target.image_id in {"3", "7"})
