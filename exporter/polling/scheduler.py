"""When cycles start: APScheduler, one job per cloud, on a clock that nobody sets."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from exporter.clock import steady

HEARTBEAT = 5.0
"""Seconds between two signs of life of the scheduler."""


class SteadyTime(tzinfo):
    """A zone whose time of day is the steady clock's.

    APScheduler reads ``datetime.now(zone)`` and would starve its jobs when the wall clock is set
    back, or bunch them when it is set forward. Python leaves the last word on what "now" is in a
    zone to the zone, so this one gives the time since an epoch that does not move.
    """

    def fromutc(self, dt: datetime) -> datetime:  # noqa: ARG002  # the wall clock's word is not taken
        """The steady time, whatever the wall clock says."""
        return (datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=steady())).replace(tzinfo=self)

    def utcoffset(self, dt: datetime | None) -> timedelta:  # noqa: ARG002  # the same at all times
        """None to speak of."""
        return timedelta(0)

    def dst(self, dt: datetime | None) -> timedelta:  # noqa: ARG002  # as above
        """None to speak of."""
        return timedelta(0)

    def tzname(self, dt: datetime | None) -> str:  # noqa: ARG002  # as above
        """A name for APScheduler's log."""
        return "steady"


class Every(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 has no types
    """Fires every ``interval``, measured from the first time.

    APScheduler's own interval trigger goes by way of time stamps, and so by the wall clock.
    """

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """When to fire after ``previous``."""
        return now if previous is None else previous + self._interval


class DaemonThreads(BaseExecutor):  # type: ignore[misc]  # APScheduler 3 has no types
    """Runs each call in a thread that does not keep the process from ending.

    The threads of APScheduler's own pools are waited for at exit, also for a call that hangs in a
    look-up of a name, which nothing can interrupt.
    """

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        threading.Thread(
            target=self._run, args=(job, run_times), name=f"job-{job.name}", daemon=True
        ).start()

    def _run(self, job: Job, run_times: list[datetime]) -> None:
        try:
            events = run_job(
                job, job._jobstore_alias, run_times, self._logger.name
            )  # as its own executors do
        except BaseException as error:  # noqa: BLE001  # as above
            self._run_job_error(job.id, error, error.__traceback__)
        else:
            self._run_job_success(job.id, events)


class ScheduledJob:
    """A call that is made again and again, until it is stopped."""

    def __init__(self, job: Job, zone: tzinfo) -> None:
        self._job = job
        self._zone = zone

    def hasten(self) -> None:
        """Makes the next call now, or after the one that is running; all others follow that."""
        self._job.modify(next_run_time=datetime.now(self._zone))

    def stop(self) -> None:
        """Makes no further call; does not wait for one that is running."""
        self._job.remove()


class Scheduler:
    """Calls each cloud's cycle at its interval; a call never overlaps the one before."""

    def __init__(self) -> None:
        self._zone = SteadyTime()
        self._scheduler = BackgroundScheduler(timezone=self._zone, daemon=True)
        self._beat = steady()

    def every(self, interval: float, run: Callable[[], object], delay: float = 0.0) -> ScheduledJob:
        """Calls ``run`` after ``delay`` seconds and then every ``interval`` seconds.

        One that is late is called as soon as possible, once, however late it is. One whose time
        comes while the one before is still running waits for its end: a cycle that takes all of
        its interval would cost the next one else.
        """
        turn = threading.Lock()

        def run_alone() -> None:
            with turn:
                run()

        first = datetime.now(self._zone) + timedelta(seconds=delay)
        job = self._scheduler.add_job(
            run_alone,
            Every(timedelta(seconds=interval)),
            next_run_time=first,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=2,
        )
        return ScheduledJob(job, self._zone)

    def start(self) -> None:
        """Starts the scheduler's thread; each call has one of its own."""
        self.every(HEARTBEAT, self._heartbeat)
        self._scheduler.add_executor(DaemonThreads(), "default")
        self._scheduler.start()

    def stop(self) -> None:
        """Starts nothing more; does not wait for what is running."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def beat_age(self) -> float:
        """Seconds since the scheduler last showed that it lives."""
        return steady() - self._beat

    def _heartbeat(self) -> None:
        self._beat = steady()
