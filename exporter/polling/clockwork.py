"""Which pollers run, and when: one job for each cloud's cycle, one for its discovery."""

from collections.abc import Sequence
from functools import partial

from exporter.polling.poller import Poller
from exporter.polling.scheduler import ScheduledJob, Scheduler

STAGGER = 0.25
"""Most seconds between the first cycles of two clouds, which do not all start at once."""


class CloudJobs:
    """The jobs of a scheduler, by the name of the cloud that they are for."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._cycles: dict[str, ScheduledJob] = {}
        self._discoveries: dict[str, ScheduledJob] = {}

    def begin(self, pollers: Sequence[Poller]) -> None:
        """Has these clouds polled from now on, the first cycles one shortly after the other."""
        for place, poller in enumerate(pollers):
            interval = poller.pace.interval
            delay = place * min(STAGGER, interval / 2 / len(pollers))
            cycle = self._scheduler.every(interval, poller.run_cycle, delay=delay)
            self._cycles[poller.cloud] = cycle
            if poller.discovery is not None:
                # The first is the first cycle's.
                every = poller.discovery.interval
                discover = partial(poller.discover, every)
                self._discoveries[poller.cloud] = self._scheduler.every(
                    every, discover, delay=delay + every
                )

    def end(self, cloud: str) -> None:
        """Has a cloud polled no more; does not wait for what is running."""
        for jobs in (self._cycles, self._discoveries):
            job = jobs.pop(cloud, None)
            if job is not None:
                job.stop()

    def hasten(self, cloud: str) -> None:
        """Has the next cycle of a cloud begin now."""
        self._cycles[cloud].hasten()
