"""Hot reload: replace the running clouds by those of a new configuration, all or nothing."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

from exporter.app import Application, CloudRuntime
from exporter.auth.base import CloudConfigError
from exporter.clock import now
from exporter.config import Settings, SettingsError, resolved_clouds, resolved_selection
from exporter.files import WatchedFiles
from exporter.metrics.selection.alert_rules import log_affected_alerts
from exporter.metrics.selection.families import Selection
from exporter.model.target import Target
from exporter.open_files import fit_concurrency
from exporter.polling.poller import Poller
from exporter.process import queue_hangups
from exporter.redaction import Redactor
from exporter.web.security.middleware import SecurityConfig, SecurityState
from exporter.web_security import LoadedSecurity, load_security

log = logging.getLogger(__name__)

WATCH_INTERVAL = 1.0
"""Seconds between two checks of the watched files."""

INTERNAL_ERROR = "internal error: the log of the exporter has the traceback"
STOPPING = ("the exporter is stopping",)


@dataclass(frozen=True, slots=True)
class CloudChanges:
    """Difference between the running clouds and those of a new configuration.

    Attributes:
        clouds: The clouds after the reload, in the order of the new configuration.
        added: Names of clouds that are new.
        replaced: Names of clouds that get a new poller, which takes over from the old one.
        unchanged: Names of clouds that keep their poller. Their images may differ.
        removed: Names of clouds that the new configuration does not have.
        obsolete_pollers: Pollers to stop after the reload, including those built for unchanged
            clouds.
    """

    clouds: Mapping[str, CloudRuntime]
    added: tuple[str, ...]
    replaced: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]
    obsolete_pollers: tuple[Poller, ...]


class _Applied(NamedTuple):
    """Changes that were applied, and the images of each cloud that were not watched before."""

    changes: CloudChanges
    new_targets: Mapping[str, tuple[Target, ...]]


def diff(running: Mapping[str, CloudRuntime], new: Iterable[CloudRuntime]) -> CloudChanges:
    """Compare the running clouds with those built from a new configuration. Changes nothing."""
    built = {cloud.config.name: cloud for cloud in new}
    added = tuple(name for name in built if name not in running)
    removed = tuple(name for name in running if name not in built)
    unchanged = tuple(
        name
        for name, cloud in built.items()
        if name in running and running[name].identity == cloud.identity
    )
    replaced = tuple(name for name in built if name in running and name not in unchanged)
    return CloudChanges(
        clouds={
            name: replace(cloud, poller=running[name].poller) if name in unchanged else cloud
            for name, cloud in built.items()
        },
        added=added,
        replaced=replaced,
        unchanged=unchanged,
        removed=removed,
        obsolete_pollers=(
            *(running[name].poller for name in (*removed, *replaced)),
            *(built[name].poller for name in unchanged),
        ),
    )


def apply(
    changes: CloudChanges, application: Application, selection: Selection | None = None
) -> Mapping[str, tuple[Target, ...]]:
    """Replace the running clouds, and return the images of each that were not watched before.

    A scrape sees the state before or after the reload, never a mixture. The caller schedules the
    new pollers and stops the obsolete ones.

    Args:
        changes: The changes.
        application: The running clouds.
        selection: The metrics to serve; None if only the credentials were loaded again.
    """
    running = application.clouds
    new_targets: dict[str, tuple[Target, ...]] = {}
    with application.store.transaction_lock:
        for name in changes.removed:
            application.remove_cloud(running[name])
        for name in changes.added:
            application.add_cloud(changes.clouds[name])
        for name in changes.replaced:
            application.replace_cloud(running[name], changes.clouds[name])
        for name, cloud in changes.clouds.items():
            new_targets[name] = application.set_targets(cloud)
        application.store.reorder_clouds(list(changes.clouds))
        loaded_at = now().wall
        application.exporter_metrics.record_credentials_load(loaded_at)
        if selection is not None:
            application.selection = selection
            application.exporter_metrics.record_load(loaded_at)
    # A new dictionary: other threads may be iterating over the old one.
    application.clouds = dict(changes.clouds)
    return new_targets


@dataclass(slots=True)
class Reloader:
    """Reloads the settings, the web configuration and credentials, one reload at a time.

    Attributes:
        application: The running clouds.
        settings: The settings in use.
        load_settings: Reads the settings; raises ``SettingsError``.
        on_reloaded: Called with the new settings once they are in use.
        security: The security configuration in use.
        redactor: Receives the secrets that must not be logged.
        web_files: The files of the web configuration. A change of one reloads only these files.
    """

    application: Application
    settings: Settings
    load_settings: Callable[[], Settings]
    on_reloaded: Callable[[Settings], object]
    security: SecurityState = field(default_factory=SecurityState)
    redactor: Redactor = field(default_factory=Redactor)
    web_files: WatchedFiles = field(default_factory=WatchedFiles)
    _settings_at_start: Settings = field(init=False)
    _failed: set[str] = field(init=False, default_factory=set)
    _reload_lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _apply_lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _closed: bool = field(init=False, default=False)
    _has_new_credentials: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Remember the settings at start, to report those that need a restart."""
        self._settings_at_start = self.settings

    def reload(self, trigger: str) -> tuple[str, ...]:
        """Load and apply the settings; return the errors, a line each, if that is impossible."""
        with self._reload_lock:
            # _load_security() adds files to web_files; restore the old ones if the reload fails.
            paths_before = self.web_files.paths
            try:
                return self._reload(trigger)
            except (SettingsError, CloudConfigError) as error:
                self.web_files.watch(paths_before)
                return self._reject("settings", trigger, error_lines(error))
            except Exception:
                self.web_files.watch(paths_before)
                log.exception("configuration reload crashed")
                return self._reject("settings", trigger, (INTERNAL_ERROR,))

    def reload_web_config(self) -> tuple[str, ...]:
        """Load and apply certificates, users and limits of the web configuration only."""
        trigger = "file changed"
        with self._reload_lock:
            # Read the path with the lock held: the previous reload may have changed it.
            path = self.settings.web.config.file
            try:
                security = self._load_security(path)
                self.security.replace(security.config)
                self.web_files.watch(security.files)
            except SettingsError as error:
                return self._reject("web", trigger, error.lines)
            except Exception:
                log.exception("web configuration reload crashed")
                return self._reject("web", trigger, (INTERNAL_ERROR,))
            self._failed.discard("web")
            self._record_result()
            fields = {"trigger": trigger, "file": str(path)}
            log.info("web configuration reloaded", extra={"fields": fields})
            return ()

    def check_credentials(self) -> tuple[str, ...]:
        """Load the credentials again if their files have changed and the change is wanted.

        With ``config.reload_on_change`` it always is. Otherwise it is once a cloud refuses the
        sign-in or cannot be reached, as after a password was rotated.
        """
        self._has_new_credentials |= self.application.credential_files.changed()
        if not self._has_new_credentials:
            return ()
        if self.settings.config.reload_on_change:
            return self.reload_credentials("file changed")
        with self._reload_lock:  # a reload by request may remove clouds
            is_failing = self.application.has_failing_cloud()
        return self.reload_credentials("polls fail") if is_failing else ()

    def reload_credentials(self, trigger: str) -> tuple[str, ...]:
        """Load clouds.yaml, secure.yaml and certificates for clouds, with the settings in use."""
        with self._reload_lock:
            self._has_new_credentials = False
            try:
                return self._reload_credentials(trigger)
            except CloudConfigError as error:
                return self._reject("credentials", trigger, error_lines(error))
            except Exception:
                log.exception("credentials reload crashed")
                return self._reject("credentials", trigger, (INTERNAL_ERROR,))

    def _reload_credentials(self, trigger: str) -> tuple[str, ...]:
        applied = self._replace_clouds(self._build_clouds(self.settings))
        if applied is None:
            return STOPPING
        self._failed.discard("credentials")
        self._record_result()
        fields = {"trigger": trigger, "clouds_restarted": ",".join(applied.changes.replaced)}
        log.info("credentials reloaded", extra={"fields": fields})
        return ()

    def _build_clouds(self, settings: Settings) -> tuple[CloudRuntime, ...]:
        return self.application.build_clouds(fit_concurrency(resolved_clouds(settings)))

    def _replace_clouds(
        self,
        clouds: Iterable[CloudRuntime],
        security: LoadedSecurity | None = None,
        selection: Selection | None = None,
    ) -> "_Applied | None":
        """Replace the running clouds; return None if the exporter is stopping."""
        with self._apply_lock:
            if self._closed:
                return None
            changes = diff(self.application.clouds, clouds)
            new_targets = apply(changes, self.application, selection)
            if security is not None:
                self.security.replace(security.config)
                self.web_files.watch(security.files)
            self._reschedule(changes, new_targets)
        for poller in changes.obsolete_pollers:
            poller.stop()
        return _Applied(changes, new_targets)

    def _reload(self, trigger: str) -> tuple[str, ...]:
        settings = self.load_settings()
        security = self._load_security(settings.web.config.file)
        selection = resolved_selection(settings)
        applied = self._replace_clouds(self._build_clouds(settings), security, selection)
        if applied is None:
            return STOPPING
        changes, new_targets = applied
        self._failed.clear()
        self._record_result()
        for key in _restart_required(self._settings_at_start, settings):
            log.warning("setting requires a restart", extra={"fields": {"key": key}})
        log_affected_alerts(selection)
        self.settings = settings
        self.on_reloaded(settings)
        fields = {
            "trigger": trigger,
            "clouds_started": len(changes.added) + len(changes.replaced),
            "clouds_kept": len(changes.unchanged),
            "clouds_removed": len(changes.removed),
            "images_new": sum(map(len, new_targets.values())),
        }
        log.info("configuration reloaded", extra={"fields": fields})
        return ()

    def _load_security(self, path: Path | None) -> LoadedSecurity:
        """Load the web configuration; start to watch each file before it is read."""
        # An empty file (half written, or a full disk) must not disable authentication.
        is_unprotected = self.security.config == SecurityConfig()
        return load_security(
            path, self.redactor.add, watched=self.web_files, may_be_empty=is_unprotected
        )

    def close(self) -> None:
        """Apply no further settings; the web configuration is still reloaded.

        Does not wait for a reload that is still loading settings.
        """
        with self._apply_lock:
            self._closed = True

    def serve(self, triggers: SimpleQueue[str], settings_files: WatchedFiles) -> None:
        """Reload for each trigger in the queue and for each changed file; never return."""
        while True:
            try:
                self._serve_once(triggers, settings_files)
            except Exception:
                log.exception("configuration reload crashed")

    def _serve_once(self, triggers: SimpleQueue[str], settings_files: WatchedFiles) -> None:
        try:
            trigger = triggers.get(timeout=WATCH_INTERVAL)
        except Empty:
            trigger = "file changed" if settings_files.changed() else ""
        if trigger:
            # One reload serves all triggers that came in the meantime.
            while not triggers.empty():
                triggers.get()
            self.reload(trigger)
        elif self.web_files.changed():
            self.reload_web_config()
        else:
            self.check_credentials()

    def _record_result(self) -> None:
        self.application.exporter_metrics.record_load(None if self._failed else now().wall)

    def _reject(self, part: str, trigger: str, errors: tuple[str, ...]) -> tuple[str, ...]:
        self._failed.add(part)
        self._record_result()
        for error in errors:
            fields = {"trigger": trigger, "error": error}
            log.error(
                "configuration reload failed, keeping the previous configuration",
                extra={"fields": fields},
            )
        return errors

    def _reschedule(
        self, changes: CloudChanges, new_targets: Mapping[str, tuple[Target, ...]]
    ) -> None:
        jobs = self.application.jobs
        for name in (*changes.removed, *changes.replaced):
            jobs.stop(name)
        started = [name for name in changes.clouds if name not in changes.unchanged]
        jobs.start([changes.clouds[name].poller for name in started])
        for name in changes.unchanged:
            if not changes.clouds[name].poller.poll_now(new_targets[name]):
                jobs.run_now(name)


class ReloadTriggers:
    """SIGHUP and changed files, collected from the start of the process.

    The reload thread serves them once it runs, so an early trigger is not lost.

    Attributes:
        web_files: The files of the web configuration, to which their first load adds them.
    """

    def __init__(
        self,
        settings: Settings,
        load_settings: Callable[[], Settings],
        on_reloaded: Callable[[Settings], object],
        redactor: Redactor,
    ) -> None:
        self._settings = settings
        self._load_settings = load_settings
        self._on_reloaded = on_reloaded
        self._redactor = redactor
        self._triggers: SimpleQueue[str] = SimpleQueue()
        file = settings.config.file if settings.config.reload_on_change else None
        self._settings_files = WatchedFiles([] if file is None else [file])
        self.web_files = WatchedFiles()
        queue_hangups(self._triggers)

    def start(self, application: Application, security: SecurityState) -> Reloader:
        """Start the thread that reloads, and return its reloader."""
        reloader = Reloader(
            application,
            self._settings,
            self._load_settings,
            self._on_reloaded,
            security,
            self._redactor,
            self.web_files,
        )
        serve = partial(reloader.serve, self._triggers, self._settings_files)
        threading.Thread(target=serve, name="reload", daemon=True).start()
        return reloader


def error_lines(error: Exception) -> tuple[str, ...]:
    """Return the lines of an error that the operator can correct."""
    return error.lines if isinstance(error, SettingsError) else (str(error),)


def _restart_required(old: Settings, new: Settings) -> Iterator[str]:
    """Yield the settings that differ and take effect only at a restart."""
    for group in ("web", "shard", "state"):
        before, after = getattr(old, group), getattr(new, group)
        for key in type(before).model_fields:
            # A reload reads the web configuration file again.
            if key != "config" and getattr(before, key) != getattr(after, key):
                yield f"{group}.{key}"
