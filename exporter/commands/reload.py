"""The settings read again, and taken into use as a whole or not at all."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue

from exporter.build import Exchange, Parts
from exporter.commands.clockwork import Clockwork
from exporter.commands.signals import note_hangups
from exporter.commands.watched import WatchedFile
from exporter.glance.signin import CloudConfigError
from exporter.settings import Settings, SettingsError

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
    in use from then on.
    """

    parts: Parts
    clockwork: Clockwork
    settings: Settings
    read: Callable[[], Settings]
    use: Callable[[Settings], object]
    _turn: threading.Lock = field(init=False, default_factory=threading.Lock)
    _applying: threading.Lock = field(init=False, default_factory=threading.Lock)
    _ended: bool = field(init=False, default=False)

    def reload(self, cause: str) -> tuple[str, ...]:
        """Why the settings cannot be used, a line for each mistake; none where they are in use."""
        with self._turn:
            try:
                return self._reload(cause)
            except (SettingsError, CloudConfigError) as error:
                return self._refused(cause, problem_lines(error))
            except Exception:
                log.exception("bug: a reload failed")
                return self._refused(cause, (A_BUG,))

    def _reload(self, cause: str) -> tuple[str, ...]:
        fresh = self.read()
        wanted = self.parts.prepare(fresh.plans())
        with self._applying:
            if self._ended:
                return ("the exporter is stopping",)
            change = self.parts.exchange(wanted)
            self._reschedule(change)
        for poller in change.ended:
            poller.stop()
        for key in _fixed(self.settings, fresh):
            log.warning("setting takes effect at the next start", extra={"fields": {"key": key}})
        self.settings = fresh
        self.use(fresh)
        log.info("settings are in use", extra={"fields": {"cause": cause, **_summary(change)}})
        return ()

    def end(self) -> None:
        """Takes nothing into use any more; does not wait for settings that are being read."""
        with self._applying:
            self._ended = True

    def serve(self, causes: SimpleQueue[str], watched: WatchedFile | None) -> None:
        """Reloads for each cause in the queue, and when the file changes; never returns."""
        while True:
            try:
                cause = causes.get(timeout=LOOK_EVERY if watched else None)
            except Empty:
                if watched is None or not watched.changed():
                    continue
                cause = "the file changed"
            # What asked while nobody read is answered by this one reading.
            while not causes.empty():
                causes.get()
            self.reload(cause)

    def _refused(self, cause: str, lines: tuple[str, ...]) -> tuple[str, ...]:
        self.parts.instruments.reload_successful.set(0)
        for line in lines:
            fields = {"cause": cause, "error": line}
            log.error("settings cannot be used; the old ones stay", extra={"fields": fields})
        return lines

    def _reschedule(self, change: Exchange) -> None:
        pollers = {poller.cloud: poller for poller in self.parts.pollers}
        for name in (*change.removed, *change.started):
            self.clockwork.end(name)
        self.clockwork.begin([pollers[name] for name in change.started])
        for name in change.kept:
            if not pollers[name].ask_at_once(change.new[name]):
                self.clockwork.hasten(name)


class Reloading:
    """What asks for a reload from the start on: SIGHUP and, if so set, a changed file.

    What comes before there is anything to reload is not lost.
    """

    def __init__(
        self, settings: Settings, read: Callable[[], Settings], use: Callable[[Settings], object]
    ) -> None:
        self._settings = settings
        self._read = read
        self._use = use
        self._causes: SimpleQueue[str] = SimpleQueue()
        file = settings.config.file if settings.config.reload_on_change else None
        self._watched = None if file is None else WatchedFile(file)
        note_hangups(self._causes)

    def start(self, parts: Parts, clockwork: Clockwork) -> Reloader:
        """Starts a thread that reloads when it is asked for."""
        reloader = Reloader(parts, clockwork, self._settings, self._read, self._use)
        serve = partial(reloader.serve, self._causes, self._watched)
        threading.Thread(target=serve, name="reload", daemon=True).start()
        return reloader


def _fixed(old: Settings, new: Settings) -> Iterator[str]:
    """The settings that differ and that are read at the start only."""
    for group in ("web", "shard"):
        before, after = getattr(old, group), getattr(new, group)
        for key in type(before).model_fields:
            if getattr(before, key) != getattr(after, key):
                yield f"{group}.{key}"


def _summary(change: Exchange) -> dict[str, object]:
    return {
        "clouds_started": len(change.started),
        "clouds_kept": len(change.kept),
        "clouds_removed": len(change.removed),
        "images_new": sum(map(len, change.new.values())),
    }
