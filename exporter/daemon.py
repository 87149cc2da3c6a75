"""The daemon: clouds polled in the background, pages served from memory."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from exporter.app import Application, build
from exporter.clock import now, steady
from exporter.commands import Exit
from exporter.config import Settings, Web, resolved_clouds, resolved_shard
from exporter.metrics.exposition import Exposition
from exporter.polling.clockwork import CloudJobs
from exporter.polling.scheduler import HEARTBEAT, Scheduler
from exporter.process import stop_on_signals
from exporter.reload import Reloader, ReloadTriggers
from exporter.web.app import create_app
from exporter.web.handlers import Handlers, Reload
from exporter.web.pages.image_list import ImageList, query_images
from exporter.web.pages.query import Query
from exporter.web.security.middleware import SecurityMiddleware, SecurityState
from exporter.web.server.listen import ListenError
from exporter.web.server.server import WebServer
from exporter.web.server.systemd import sockets_from_systemd
from exporter.web_security import load_security

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Daemon:
    """Joins the parts to a server whose addresses are taken already."""

    parts: Application
    server: WebServer
    stop: threading.Event
    scheduler: Scheduler = field(default_factory=Scheduler)
    started_at: float = field(default_factory=steady)
    reloading: ReloadTriggers | None = None
    guard: SecurityState = field(default_factory=SecurityState)
    prefix: str = ""
    _was_ready: bool = field(init=False, default=False)

    def run(self) -> int:
        """Polls and serves until ``stop`` is set; returns the exit status."""
        clockwork = CloudJobs(self.scheduler)
        clockwork.begin(self.parts.pollers)
        self.scheduler.start()
        if (shard := self.parts.shard).total > 1:
            fields = {"index": shard.index, "total": shard.total}
            log.info("watching one shard of the images", extra={"fields": fields})
        log.info("listening", extra={"fields": {"addresses": ",".join(self.server.addresses)}})
        reloader = (
            None
            if self.reloading is None
            else self.reloading.start(self.parts, clockwork, self.guard)
        )
        exposition = Exposition(self.parts.store, self.parts.instruments.registry, now)
        handlers = Handlers(
            render_metrics=exposition.body,
            query_images=self.images,
            check_health=self.why_unhealthy,
            check_readiness=self.why_not_ready,
            reload=self._asked_to_reload(reloader),
        )
        app = create_app(handlers, self.prefix)
        try:
            self.server.serve(SecurityMiddleware(app, self.guard), self.stop, self.guard)
        finally:
            log.info("stopping")
            if reloader is not None:
                reloader.end()
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
        """Which clouds have neither finished a cycle nor had an interval's time to.

        Once there was none, there is none for ever, whatever clouds come by a reload.
        """
        if self._was_ready:
            return None
        since = steady() - self.started_at
        waiting = [
            cloud.name
            for cloud in self.parts.store.clouds()
            if cloud.last_cycle_at is None and since < cloud.interval
        ]
        self._was_ready = not waiting
        return f"no cycle finished yet: {', '.join(waiting)}" if waiting else None

    def images(self, query: Query) -> ImageList:
        """Run a query on the images as they are now."""
        return query_images(self.parts.store, query, now(), self.parts.shard)

    def _asked_to_reload(self, reloader: Reloader | None) -> Reload | None:
        if reloader is None or not reloader.settings.web.enable_lifecycle:
            return None
        return lambda: reloader.reload("request")


def listening(web: Web) -> WebServer:
    """A server that has taken its addresses; raises ``ListenError``."""
    try:
        server = WebServer(
            web.listen_address, sockets_from_systemd(os.environ) if web.systemd_socket else ()
        )
        server.bind()
    except UnicodeError:
        problem = f"cannot listen on {web.listen_address}: not a name of a host"
        raise ListenError(problem) from None
    except ValueError as error:
        raise ListenError(str(error)) from None
    return server


def run(
    settings: Settings,
    read: Callable[[], Settings],
    use: Callable[[Settings], object],
    hide: Callable[[str], object],
) -> int:
    """Takes the addresses, builds, and runs the daemon until a signal ends it.

    ``read`` gives the settings anew at a reload, ``use`` is called with those that are in use from
    then on, and ``hide`` with what must not be in the log. Raises ``ListenError``,
    ``CloudConfigError`` and ``SettingsError``.
    """
    # First of all: the kernel keeps a signal that is not handled from process 1 of a container.
    stop = stop_on_signals()
    reloading = ReloadTriggers(settings, read, use, hide)
    security = load_security(settings.web.config.file, hide, watched=reloading.web_files)
    guard = SecurityState(security.config)
    with closing(listening(settings.web)) as server:
        parts = build(resolved_clouds(settings), shard=resolved_shard(settings))
        prefix = settings.web.prefix
        return Daemon(parts, server, stop, reloading=reloading, guard=guard, prefix=prefix).run()
