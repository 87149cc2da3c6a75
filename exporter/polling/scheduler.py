"""Schedule of poll cycles and discoveries: APScheduler on the monotonic clock."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from uuid import uuid4

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from exporter.clock import steady
from exporter.polling.poller import Poller

log = logging.getLogger(__name__)

HEARTBEAT = 5.0
"""Seconds between two heartbeats of the scheduler."""

MAX_STAGGER = 0.25
"""Seconds at most between the first cycles of two clouds, so that they do not start together."""


class SteadyTime(tzinfo):
    """A time zone whose time of day is the monotonic clock's.

    APScheduler reads ``datetime.now(zone)``. With the wall clock, its jobs would starve when the
    clock is set back, and run many times at once when it is set forward. Python calls ``fromutc``
    of the zone, so this zone returns the monotonic time since a fixed date.
    """

    def fromutc(self, dt: datetime) -> datetime:  # noqa: ARG002  # the wall clock is ignored
        """Return the monotonic time instead of ``dt``."""
        return (datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=steady())).replace(tzinfo=self)

    def utcoffset(self, dt: datetime | None) -> timedelta:  # noqa: ARG002  # the same at all times
        """Return no offset."""
        return timedelta(0)

    def dst(self, dt: datetime | None) -> timedelta:  # noqa: ARG002  # as above
        """Return no daylight saving time."""
        return timedelta(0)

    def tzname(self, dt: datetime | None) -> str:  # noqa: ARG002  # as above
        """Return a name for APScheduler's log."""
        return "steady"


class Every(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 has no types
    """A trigger that fires every ``interval`` after its first time.

    APScheduler's own interval trigger converts to Unix time, and so depends on the wall clock.
    """

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """Return the time at which to fire after ``previous``."""
        return now if previous is None else previous + self._interval


class DaemonThreads(BaseExecutor):  # type: ignore[misc]  # APScheduler 3 has no types
    """Runs each call in a daemon thread, which does not keep the process from exiting.

    The threads of APScheduler's own pools are joined at exit, even if a call hangs in a name
    resolution, which nothing can interrupt.
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
    """A call that is repeated until it is stopped."""

    def __init__(self, job: Job, zone: tzinfo) -> None:
        self._job = job
        self._zone = zone

    def run_now(self) -> None:
        """Make the next call now, or when the current one returns; later ones follow from it."""
        self._job.modify(next_run_time=datetime.now(self._zone))

    def stop(self) -> None:
        """Make no further call, without waiting for the current one."""
        self._job.remove()


class Scheduler:
    """Repeats calls at their intervals; two calls of the same job never overlap."""

    def __init__(self) -> None:
        self._zone = SteadyTime()
        self._scheduler = BackgroundScheduler(timezone=self._zone, daemon=True)
        # APScheduler logs each skipped call, so a call that hangs would log once per interval.
        logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
        self._scheduler.add_listener(self._report_skipped, EVENT_JOB_MAX_INSTANCES)
        self._hanging = set[str]()
        self._last_heartbeat = steady()

    def every(
        self, interval: float, run: Callable[[], object], name: str, delay: float = 0.0
    ) -> ScheduledJob:
        """Call ``run`` after ``delay`` seconds and then every ``interval`` seconds.

        A late call is made as soon as possible, and only once, even after several intervals. A call
        that is due while the previous one still runs waits for its end. Otherwise a cycle that
        takes its whole interval would cancel the next cycle.

        Args:
            interval: Seconds between two calls.
            run: The call.
            name: The call in the log.
            delay: Seconds before the first call.
        """
        turn = threading.Lock()
        job_id = uuid4().hex

        def run_alone() -> None:
            with turn:
                if job_id in self._hanging:
                    self._hanging.discard(job_id)
                    log.info("scheduled job runs again", extra={"fields": {"job": name}})
                run()

        first = datetime.now(self._zone) + timedelta(seconds=delay)
        job = self._scheduler.add_job(
            run_alone,
            Every(timedelta(seconds=interval)),
            id=job_id,
            name=name,
            next_run_time=first,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=2,
        )
        return ScheduledJob(job, self._zone)

    def start(self) -> None:
        """Start the scheduler's thread; each call gets a thread of its own."""
        self.every(HEARTBEAT, self._heartbeat, "heartbeat")
        self._scheduler.add_executor(DaemonThreads(), "default")
        self._scheduler.start()

    def stop(self) -> None:
        """Start no further call, without waiting for those that are running."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def beat_age(self) -> float:
        """Return the seconds since the last heartbeat."""
        return steady() - self._last_heartbeat

    def _report_skipped(self, event: JobSubmissionEvent) -> None:
        """Log once that a job hangs: one call runs, and another waits for its end."""
        if event.job_id in self._hanging:
            return
        self._hanging.add(event.job_id)
        job = self._scheduler.get_job(event.job_id)
        if job is not None:
            log.warning(
                "scheduled job does not return, skipping its next runs",
                extra={"fields": {"job": job.name}},
            )

    def _heartbeat(self) -> None:
        self._last_heartbeat = steady()


class CloudJobs:
    """The jobs of each cloud, by its name: one for its cycles, one for its discoveries."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._cycles: dict[str, ScheduledJob] = {}
        self._discoveries: dict[str, ScheduledJob] = {}

    def start(self, pollers: Sequence[Poller]) -> None:
        """Poll these clouds from now on; their first cycles start shortly after one another."""
        for index, poller in enumerate(pollers):
            interval = poller.pacing.interval
            delay = index * min(MAX_STAGGER, interval / 2 / len(pollers))
            cycles = self._scheduler.every(
                interval, poller.run_cycle, f"poll cycle of {poller.cloud}", delay
            )
            self._cycles[poller.cloud] = cycles
            if poller.discovery is not None:
                # The first discovery runs as part of the first poll cycle.
                interval = poller.discovery.interval
                self._discoveries[poller.cloud] = self._scheduler.every(
                    interval,
                    partial(poller.discover, interval),
                    f"discovery of {poller.cloud}",
                    delay + interval,
                )

    def stop(self, cloud: str) -> None:
        """Stop polling a cloud, without waiting for its current cycle."""
        for jobs in (self._cycles, self._discoveries):
            job = jobs.pop(cloud, None)
            if job is not None:
                job.stop()

    def run_now(self, cloud: str) -> None:
        """Start the next cycle of a cloud now."""
        self._cycles[cloud].run_now()
