"""The daemon: clouds polled in the background, pages served from memory."""

import logging
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from exporter.build import Parts
from exporter.clock import now, steady
from exporter.commands import Exit
from exporter.polling.scheduler import HEARTBEAT, Scheduler
from exporter.web.app import create_app
from exporter.web.exposition import Exposition
from exporter.web.listing import Listing, listing
from exporter.web.query import Query
from exporter.web.server import ListenError, WebServer

log = logging.getLogger(__name__)

STAGGER = 0.25
"""Most seconds between the first cycles of two clouds, which do not all start at once."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(slots=True)
class Daemon:
    """Joins the parts to a server whose addresses are taken already."""

    parts: Parts
    server: WebServer
    stop: threading.Event
    scheduler: Scheduler = field(default_factory=Scheduler)
    started_at: float = field(default_factory=steady)

    def run(self) -> int:
        """Polls and serves until ``stop`` is set; returns the exit status."""
        for place, poller in enumerate(self.parts.pollers):
            interval = poller.pace.interval
            delay = place * min(STAGGER, interval / 2 / len(self.parts.pollers))
            self.scheduler.every(interval, poller.run_cycle, delay=delay)
            if poller.discovery is not None:
                # The first is the first cycle's.
                every = poller.discovery.interval
                self.scheduler.every(every, partial(poller.discover, every), delay=delay + every)
        self.scheduler.start()
        if (shard := self.parts.shard).total > 1:
            fields = {"index": shard.index, "total": shard.total}
            log.info("watching one shard of the images", extra={"fields": fields})
        log.info("listening", extra={"fields": {"addresses": ",".join(self.server.addresses)}})
        exposition = Exposition(self.parts.store, self.parts.instruments.registry, now)
        app = create_app(
            metrics=lambda openmetrics, compressed: exposition.body(
                openmetrics=openmetrics, compressed=compressed
            ),
            healthy=self.why_unhealthy,
            ready=self.why_not_ready,
            images=self.images,
        )
        try:
            self.server.serve(app, self.stop)
        finally:
            log.info("stopping")
            self.scheduler.stop()
            self.parts.close()
        return Exit.OK

    def why_unhealthy(self) -> str | None:
        """Why the process should be restarted; never a cloud's fault.

        The scheduler's sign of life has to be younger than three intervals.
        """
        age = self.scheduler.beat_age()
        longest = 3 * max([HEARTBEAT, *(poller.pace.interval for poller in self.parts.pollers)])
        if age < longest:
            return None
        return f"the scheduler has shown no sign of life for {age:.0f} seconds"

    def why_not_ready(self) -> str | None:
        """Which clouds have neither finished a cycle nor had an interval's time to."""
        since = steady() - self.started_at
        waiting = [
            cloud.name
            for cloud in self.parts.store.clouds()
            if cloud.last_cycle_at is None and since < cloud.interval
        ]
        return f"no cycle finished yet: {', '.join(waiting)}" if waiting else None

    def images(self, query: Query) -> Listing:
        """What the query comes to now."""
        return listing(self.parts.store, query, now())


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set from here on; the first one counts."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:  # noqa: ARG001  # how Python calls it
        # A second signal within set() would wait for ever for the lock that the first one holds.
        # SIG_IGN would do, but Python prints a complaint about one that is on its way already.
        _on_stop_signals(lambda number, frame: None)  # noqa: ARG005  # as above
        stop.set()

    _on_stop_signals(handle)
    # Its default is to end the process; a terminal that closes, or a habit, is no reason to.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return stop


def _on_stop_signals(handle: Callable[[int, object], None]) -> None:
    for each in STOP_SIGNALS:
        signal.signal(each, handle)


def listening(listen_address: str) -> WebServer:
    """A server that has taken its addresses; raises ``ListenError``."""
    try:
        server = WebServer(listen_address)
        server.bind()
    except UnicodeError:
        raise ListenError(f"cannot listen on {listen_address}: not a name of a host") from None
    except ValueError as error:
        raise ListenError(str(error)) from None
    return server


def run(listen_address: str, build_parts: Callable[[], Parts]) -> int:
    """Takes the addresses, builds, and runs the daemon until a signal ends it.

    Raises ``ListenError``, and what ``build_parts`` raises.
    """
    # First of all: the kernel keeps a signal that is not handled from process 1 of a container.
    stop = stop_on_signals()
    with closing(listening(listen_address)) as server:
        return Daemon(build_parts(), server, stop).run()
