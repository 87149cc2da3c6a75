import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from exporter.clock import steady
from exporter.polling import scheduler as module
from exporter.polling.scheduler import Every, Scheduler, SteadyTime
from tests.support.wait import wait_until

GENEROUS = 10.0


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    """Return a scheduler that is stopped at the end."""
    scheduler = Scheduler()
    yield scheduler
    scheduler.stop()


class Recorder:
    """A call that records its start times and the largest number of simultaneous runs."""

    def __init__(self, work: Callable[[], object] = lambda: None) -> None:
        self.times: list[float] = []
        self.most = 0
        self._running = 0
        self._work = work
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Run once."""
        with self._lock:
            self.times.append(steady())
            self._running += 1
            self.most = max(self.most, self._running)
        self._work()
        with self._lock:
            self._running -= 1

    def ran(self, times: int) -> bool:
        """Wait until it has run so many times."""
        return wait_until(lambda: len(self.times) >= times)


def test_first_cycle_starts_at_once(scheduler: Scheduler) -> None:
    run = Recorder()
    began = steady()
    scheduler.every(3600, run, "test")
    scheduler.start()
    assert run.ran(1)
    assert run.times[0] - began < 2.0


def test_delay_staggers_the_first_cycle(scheduler: Scheduler) -> None:
    first, second = Recorder(), Recorder()
    began = steady()
    scheduler.every(3600, first, "test")
    scheduler.every(3600, second, "test", delay=0.2)
    scheduler.start()
    assert second.ran(1)
    assert second.times[0] - began >= 0.2
    assert first.times[0] < second.times[0]


def test_cycles_do_not_drift(scheduler: Scheduler) -> None:
    """Each starts a whole number of intervals after the first, whatever the cycles took."""
    run = Recorder(lambda: threading.Event().wait(0.03))
    scheduler.every(0.1, run, "test")
    scheduler.start()
    assert run.ran(10)
    late = [time - run.times[0] - index * 0.1 for index, time in enumerate(run.times[:10])]
    assert all(lateness >= -0.05 for lateness in late)
    # A delayed cycle does not delay the cycles after it.
    assert sorted(late)[5] < 0.1


def test_cycle_as_long_as_its_interval_does_not_cancel_the_next(
    scheduler: Scheduler,
) -> None:
    run = Recorder(lambda: threading.Event().wait(0.21))
    scheduler.every(0.2, run, "test")
    scheduler.start()
    assert run.ran(5)
    assert run.most == 1
    assert run.times[4] - run.times[0] < 1.5


def test_runs_neither_overlap_nor_pile_up(scheduler: Scheduler) -> None:
    go_on = threading.Event()
    run = Recorder(lambda: go_on.wait(GENEROUS))
    other = Recorder()
    scheduler.every(0.05, run, "test")
    scheduler.every(0.05, other, "test")
    scheduler.start()
    assert other.ran(8)
    assert len(run.times) == 1
    go_on.set()
    assert run.ran(4)
    assert run.most == 1
    assert run.times[3] - run.times[2] > 0.02


def test_call_that_hangs_is_logged_once(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    """A file system that does not respond must not fill the log."""
    caplog.set_level(logging.INFO)
    go_on = threading.Event()
    run, other = Recorder(lambda: go_on.wait(GENEROUS)), Recorder()
    scheduler.every(0.02, run, "poll cycle of lab")
    scheduler.every(0.02, other, "test")
    scheduler.start()
    assert other.ran(30)
    fields = {"job": "poll cycle of lab"}
    (warning,) = [record for record in caplog.records if record.__dict__.get("fields") == fields]
    assert warning.levelno == logging.WARNING
    assert warning.message == "scheduled job does not return, skipping its next runs"
    go_on.set()
    assert run.ran(4)
    assert "scheduled job runs again" in caplog.messages


def test_crash_of_one_run_does_not_end_the_job(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:

    def work() -> None:
        raise ZeroDivisionError("as the test has it")

    run = Recorder(work)
    scheduler.every(0.05, run, "test")
    scheduler.start()
    assert run.ran(3)
    assert "as the test has it" in caplog.text


def test_schedule_ignores_the_wall_clock() -> None:
    zone = SteadyTime()
    began, now = steady(), datetime.now(zone)
    since = (now - datetime(2000, 1, 1, tzinfo=zone)).total_seconds()
    assert began - 0.001 <= since <= steady() + 0.001
    for wall in (datetime(1970, 1, 1, tzinfo=zone), datetime(2100, 1, 1, tzinfo=zone)):
        assert abs(zone.fromutc(wall) - now) < timedelta(seconds=5)
    assert (zone.utcoffset(now), zone.dst(now)) == (timedelta(0), timedelta(0))
    assert zone.tzname(now) == "steady"


def test_jobs_continue_while_the_wall_clock_jumps(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Recorder()
    scheduler.every(0.05, run, "test")
    scheduler.start()
    assert run.ran(2)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86400)
    count = len(run.times)
    assert run.ran(count + 3)


def test_next_run_is_planned_from_the_first_one() -> None:
    trigger = Every(timedelta(seconds=60))
    first = datetime(2000, 1, 1, tzinfo=SteadyTime())
    assert trigger.get_next_fire_time(None, first) == first
    late = first + timedelta(seconds=90)
    assert trigger.get_next_fire_time(first, late) == first + timedelta(seconds=60)


def test_heartbeat_is_young_while_the_scheduler_runs(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.02)
    scheduler.start()
    born = steady() - scheduler.beat_age()
    wait_until(lambda: steady() - scheduler.beat_age() > born + 0.1)
    scheduler.stop()
    wait_until(lambda: scheduler.beat_age() > 0.2)


def test_stop_does_not_wait_for_a_running_cycle() -> None:
    go_on = threading.Event()
    run = Recorder(lambda: go_on.wait(GENEROUS))
    scheduler = Scheduler()
    scheduler.every(60, run, "test")
    scheduler.start()
    assert run.ran(1)
    began = steady()
    scheduler.stop()
    scheduler.stop()
    assert steady() - began < 1.0
    go_on.set()


def test_job_can_be_run_now_and_stopped(scheduler: Scheduler) -> None:
    run, other = Recorder(), Recorder()
    job = scheduler.every(3600, run, "test")
    scheduler.start()
    assert run.ran(1)
    job.run_now()
    assert run.ran(2)
    job.stop()
    scheduler.every(3600, other, "test")
    assert other.ran(1)
    assert len(run.times) == 2
