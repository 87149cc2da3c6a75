"""The daemon: polls the clouds and serves the pages until it is stopped."""

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from exporter.app import (
    Application,
    bind_server,
    build_application,
    build_exposition,
    build_web_app,
)
from exporter.app_state import continue_from, state_saver
from exporter.clock import steady
from exporter.config import Settings, Web, resolved_clouds, resolved_selection, resolved_shard
from exporter.metrics.render_thread import rendering_in_background
from exporter.metrics.selection.alert_rules import log_affected_alerts
from exporter.open_files import fit_concurrency, raise_limit
from exporter.polling.scheduler import HEARTBEAT
from exporter.process import (
    collect_garbage_rarely,
    dump_stacks_on_signal,
    stop_on_signals,
    switch_threads_often,
)
from exporter.redaction import Redactor
from exporter.reload import Reloader, ReloadTriggers
from exporter.state.file import locked_state_file
from exporter.state.saving import StateSaver
from exporter.web.handlers import Reload
from exporter.web.security.middleware import SecurityState
from exporter.web.server.server import WebServer
from exporter.web_security import load_security

log = logging.getLogger(__name__)

MISSED_HEARTBEATS = 3
"""Intervals without a heartbeat of the scheduler after which the daemon is unhealthy."""


@dataclass(slots=True)
class Daemon:
    """An application and the server of its pages, which is bound to its addresses already.

    Attributes:
        application: The clouds, the store and the metrics.
        server: The server.
        stop: Ends ``run`` when it is set.
        started_at: Steady time from which clouds have an interval to finish their first cycle.
        triggers: The triggers of reloads; None if the settings cannot be reloaded.
        security: The security configuration in use.
        config_text: Returns the configuration in force, without secrets.
        web: The paths of the pages, and the hosts that requests may name.
        saver: Writes the state file; None without one.
    """

    application: Application
    server: WebServer
    stop: threading.Event
    started_at: float = field(default_factory=steady)
    triggers: ReloadTriggers | None = None
    security: SecurityState = field(default_factory=SecurityState)
    config_text: Callable[[], str] = str
    web: Web = field(default_factory=Web)
    saver: StateSaver | None = None
    _was_ready: bool = field(init=False, default=False)

    def run(self) -> None:
        """Poll and serve until ``stop`` is set."""
        application = self.application
        application.jobs.start(application.pollers)
        application.scheduler.start()
        shard = application.shard
        if shard.total > 1:
            fields = {"index": shard.index, "total": shard.total}
            log.info("sharding enabled", extra={"fields": fields})
        log.info("listening", extra={"fields": {"addresses": ",".join(self.server.addresses)}})
        if self.saver is not None:
            self.saver.start()
        reloader = self.triggers.start(application, self.security) if self.triggers else None
        exposition = build_exposition(application)
        web_app = build_web_app(
            application,
            self.security,
            exposition,
            check_health=self.check_health,
            check_readiness=self.check_readiness,
            reload=_reload_by_request(reloader),
            config_text=self.config_text,
            web=self.web,
        )
        try:
            with rendering_in_background(exposition):
                count_refused = application.exporter_metrics.count_refused_connection
                self.server.serve(web_app, self.stop, self.security, count_refused)
        finally:
            log.info("stopping")
            if reloader is not None:
                reloader.close()
            application.close()
            if self.saver is not None:
                self.saver.close()

    def check_health(self) -> str | None:
        """Return the reason to restart the process, or None. No state of a cloud is a reason.

        The last heartbeat of the scheduler must be younger than three intervals.
        """
        age = self.application.scheduler.beat_age()
        intervals = (poller.pacing.interval for poller in self.application.pollers)
        if age < MISSED_HEARTBEATS * max([HEARTBEAT, *intervals]):
            return None
        return f"the scheduler has shown no sign of life for {age:.0f} seconds"

    def check_readiness(self) -> str | None:
        """Return which clouds are in their first cycle, or None if each has finished one.

        A cloud has one interval for its first cycle. Once ready, the daemon remains ready, even if
        a reload adds clouds.
        """
        if self._was_ready:
            return None
        uptime = steady() - self.started_at
        waiting = [
            cloud.name
            for cloud in self.application.store.clouds()
            if cloud.last_cycle_at is None and uptime < cloud.interval
        ]
        self._was_ready = not waiting
        return f"no cycle finished yet: {', '.join(waiting)}" if waiting else None


def _reload_by_request(reloader: Reloader | None) -> Reload | None:
    if reloader is None or not reloader.settings.web.enable_lifecycle:
        return None
    return lambda: reloader.reload("request")


def run(
    settings: Settings,
    load_settings: Callable[[], Settings],
    on_reloaded: Callable[[Settings], object],
    redactor: Redactor,
    config_text: Callable[[], str],
) -> None:
    """Bind the addresses, build the parts, and run the daemon until a signal stops it.

    Args:
        settings: The settings to start with.
        load_settings: Reads the settings again at a reload.
        on_reloaded: Called with the new settings once they are in use.
        redactor: Receives the secrets that must not be logged.
        config_text: Returns the configuration in force, without secrets.

    Raises:
        ListenError: An address cannot be bound.
        CloudConfigError: The authentication of a cloud cannot work as configured.
        SettingsError: The web configuration cannot be used.
        StateFileError: The state file cannot be written, or another exporter uses it.
    """
    # Handle signals first: in a container the kernel drops those that process 1 does not handle.
    stop = stop_on_signals()
    dump_stacks_on_signal()
    raise_limit()
    collect_garbage_rarely()
    switch_threads_often()
    triggers = ReloadTriggers(settings, load_settings, on_reloaded, redactor)
    security = load_security(settings.web.config.file, redactor.add, watched=triggers.web_files)
    with (
        closing(bind_server(settings.web)) as server,
        locked_state_file(settings.state.file) as state_file,
    ):
        clouds = fit_concurrency(resolved_clouds(settings))
        application = build_application(clouds, shard=resolved_shard(settings))
        application.selection = resolved_selection(settings)
        log_affected_alerts(application.selection)
        if state_file is not None:
            continue_from(application, state_file)
        Daemon(
            application,
            server,
            stop,
            triggers=triggers,
            security=SecurityState(security.config, settings.web.prefix),
            config_text=config_text,
            web=settings.web,
            saver=state_saver(application, state_file, redactor.redact) if state_file else None,
        ).run()
