"""The settings read again, and taken into use as a whole or not at all."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from exporter.app import Application, CloudChanges
from exporter.auth.base import CloudConfigError
from exporter.clock import now
from exporter.config import Settings, SettingsError, resolved_clouds
from exporter.files import WatchedFiles
from exporter.polling.clockwork import CloudJobs
from exporter.process import note_hangups
from exporter.web.security.middleware import SecurityConfig, SecurityState
from exporter.web_security import LoadedSecurity, load_security

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks at a file that is watched."""

A_BUG = "a bug of the exporter: its log has the traceback"


def problem_lines(error: Exception) -> tuple[str, ...]:
    """What is the operator's to mend, a line for each mistake."""
    return error.lines if isinstance(error, SettingsError) else (str(error),)


@dataclass(slots=True)
class Reloader:
    """Exchanges what polls by what the settings say now, one reload at a time.

    ``read`` gives the settings, or raises ``SettingsError``; ``use`` is called with those that are
    in use from then on. ``guard`` is what the web configuration file asks for; that is read again
    also by itself, when one of ``web`` has changed.
    """

    parts: Application
    clockwork: CloudJobs
    settings: Settings
    read: Callable[[], Settings]
    use: Callable[[Settings], object]
    guard: SecurityState = field(default_factory=SecurityState)
    hide: Callable[[str], object] = lambda _: None
    web: WatchedFiles = field(default_factory=WatchedFiles)
    _at_start: Settings = field(init=False)
    _failing: set[str] = field(init=False, default_factory=set)
    _turn: threading.Lock = field(init=False, default_factory=threading.Lock)
    _applying: threading.Lock = field(init=False, default_factory=threading.Lock)
    _ended: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Remembers what is read at the start only."""
        self._at_start = self.settings

    def reload(self, cause: str) -> tuple[str, ...]:
        """Why the settings cannot be used, a line for each mistake; none where they are in use."""
        with self._turn:
            web_files = self.web.paths
            try:
                return self._reload(cause)
            except (SettingsError, CloudConfigError) as error:
                self.web.watch(web_files)
                return self._refused("settings", cause, problem_lines(error))
            except Exception:
                self.web.watch(web_files)
                log.exception("bug: a reload failed")
                return self._refused("settings", cause, (A_BUG,))

    def reload_protection(self) -> tuple[str, ...]:
        """The same for certificates and users alone."""
        cause = "a file changed"
        with self._turn:
            try:
                path = self.settings.web.config.file
                security = self._load_security(path)
                self.guard.replace(security.config)
                self.web.watch(security.files)
            except SettingsError as error:
                return self._refused("protection", cause, error.lines)
            except Exception:
                log.exception("bug: a reload failed")
                return self._refused("protection", cause, (A_BUG,))
            self._failing.discard("protection")
            self._tell()
            fields = {"cause": cause, "file": str(path)}
            log.info("certificates and users are in use", extra={"fields": fields})
            return ()

    def _reload(self, cause: str) -> tuple[str, ...]:
        fresh = self.read()
        security = self._load_security(fresh.web.config.file)
        wanted = self.parts.prepare(resolved_clouds(fresh))
        with self._applying:
            if self._ended:
                return ("the exporter is stopping",)
            change = self.parts.exchange(wanted)
            self.guard.replace(security.config)
            self.web.watch(security.files)
            self._reschedule(change)
        self._failing.clear()
        self._tell()
        for poller in change.ended:
            poller.stop()
        for key in _fixed(self._at_start, fresh):
            log.warning("setting takes effect at the next start", extra={"fields": {"key": key}})
        self.settings = fresh
        self.use(fresh)
        log.info("settings are in use", extra={"fields": {"cause": cause, **_summary(change)}})
        return ()

    def _load_security(self, path: Path | None) -> LoadedSecurity:
        """Load the web configuration, and watch its files from before they are read."""
        # An empty file (truncated while being written, or a full disk) must not disable
        # authentication.
        is_open = self.guard.config == SecurityConfig()
        return load_security(path, self.hide, watched=self.web, may_be_empty=is_open)

    def end(self) -> None:
        """Takes nothing into use any more; does not wait for settings that are being read."""
        with self._applying:
            self._ended = True

    def serve(self, causes: SimpleQueue[str], settings: WatchedFiles) -> None:
        """Reloads for each cause in the queue, and when a file has changed; never returns."""
        while True:
            try:
                self._serve_once(causes, settings)
            except Exception:
                log.exception("bug: a reload failed")

    def _serve_once(self, causes: SimpleQueue[str], settings: WatchedFiles) -> None:
        try:
            cause = causes.get(timeout=LOOK_EVERY)
        except Empty:
            cause = "the file changed" if settings.changed() else ""
        if cause:
            # What asked while nobody read is answered by this one reading.
            while not causes.empty():
                causes.get()
            self.reload(cause)
        elif self.web.changed():
            self.reload_protection()

    def _tell(self) -> None:
        self.parts.instruments.reload_successful.set(not self._failing)
        if not self._failing:
            self.parts.instruments.reload_success_at.set(now().wall)

    def _refused(self, what: str, cause: str, lines: tuple[str, ...]) -> tuple[str, ...]:
        self._failing.add(what)
        self._tell()
        for line in lines:
            fields = {"cause": cause, "error": line}
            log.error("settings cannot be used; the old ones stay", extra={"fields": fields})
        return lines

    def _reschedule(self, change: CloudChanges) -> None:
        pollers = {poller.cloud: poller for poller in self.parts.pollers}
        for name in (*change.removed, *change.started):
            self.clockwork.end(name)
        self.clockwork.begin([pollers[name] for name in change.started])
        for name in change.kept:
            if not pollers[name].ask_at_once(change.new[name]):
                self.clockwork.hasten(name)


class ReloadTriggers:
    """What asks for a reload from the start on: SIGHUP and, if so set, a changed file.

    What comes before there is anything to reload is not lost.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        use: Callable[[Settings], object],
        hide: Callable[[str], object],
    ) -> None:
        self._settings = settings
        self._read = read
        self._use = use
        self._causes: SimpleQueue[str] = SimpleQueue()
        self._hide = hide
        file = settings.config.file if settings.config.reload_on_change else None
        self._file = WatchedFiles([] if file is None else [file])
        self.web_files = WatchedFiles()
        note_hangups(self._causes)

    def start(self, parts: Application, clockwork: CloudJobs, guard: SecurityState) -> Reloader:
        """Starts a thread that reloads when it is asked for."""
        reloader = Reloader(
            parts,
            clockwork,
            self._settings,
            self._read,
            self._use,
            guard,
            self._hide,
            self.web_files,
        )
        serve = partial(reloader.serve, self._causes, self._file)
        threading.Thread(target=serve, name="reload", daemon=True).start()
        return reloader


def _fixed(old: Settings, new: Settings) -> Iterator[str]:
    """The settings that differ and that are read at the start only."""
    for group in ("web", "shard"):
        before, after = getattr(old, group), getattr(new, group)
        for key in type(before).model_fields:
            # The web configuration file is read again.
            if key != "config" and getattr(before, key) != getattr(after, key):
                yield f"{group}.{key}"


def _summary(change: CloudChanges) -> dict[str, object]:
    return {
        "clouds_started": len(change.started),
        "clouds_kept": len(change.kept),
        "clouds_removed": len(change.removed),
        "images_new": sum(map(len, change.new.values())),
    }
