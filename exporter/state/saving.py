"""A thread that writes the state file when something has changed, and once more at the end.

A counter that was scraped and is lower after a crash looks like a reset, so Prometheus adds its
value once more. Therefore a change of an image is written soon.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator

from exporter.clock import now, steady
from exporter.state.document import encode
from exporter.state.file import StateFile
from exporter.state.records import SavedState

log = logging.getLogger(__name__)

INTERVAL = 60.0
"""Seconds between two writes while no image changes."""

SHORT_INTERVAL = 5.0
"""Seconds between two writes, at least."""

MAX_SHARE = 0.05
"""Largest share of the time that writing takes. With very many images the interval is longer."""

PAUSE = 0.002
"""Seconds between two pieces of a write, in which scrapes and polls have the interpreter."""

LAST_WRITE_LIMIT = 7.0
"""Seconds that the last write may take. With the two of everything else, the process ends within
the ten seconds that Kubernetes and Docker wait before they kill it."""


class _InterruptedError(Exception):
    """The exporter ends during a write. The last write begins at once, with a newer state."""


class StateSaver:
    """Writes the state of an application into its file.

    Attributes:
        write_failed: The last write has failed.
    """

    def __init__(
        self,
        file: StateFile,
        collect: Callable[[], SavedState],
        revision: Callable[[], int],
        image_changes: Callable[[], int],
        record_write: Callable[[float | None], None],
    ) -> None:
        """Create a saver; ``start`` starts its thread.

        Args:
            file: The file, which this process has locked.
            collect: Returns the state to write.
            revision: Returns another number whenever the state has changed.
            image_changes: Returns another number whenever an image has changed.
            record_write: Called with the Unix time of each write, or None if it failed.
        """
        self.write_failed = False
        self._file = file
        self._collect = collect
        self._revision = revision
        self._image_changes = image_changes
        self._record_write = record_write
        self._saved_revision: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)

    def start(self) -> None:
        """Start to write the file regularly."""
        self._thread.start()

    def close(self) -> None:
        """Write the file for the last time, and wait for it a limited time."""
        self._stop.set()
        self._thread.join(LAST_WRITE_LIMIT)
        if self._thread.is_alive():
            fields = {"file": str(self._file.path), "seconds": LAST_WRITE_LIMIT}
            log.warning("state file not written in time", extra={"fields": fields})

    def save(self, *, is_last: bool = False) -> None:
        """Write the file if something has changed since the last successful write.

        The last write has no pauses. It interrupts one that is in progress: the time for both may
        be too short.
        """
        revision = self._revision()
        if revision == self._saved_revision:
            return
        try:
            pieces = encode(self._collect())
            size = self._file.write(pieces if is_last else self._pausing(pieces))
        except _InterruptedError:
            return
        except OSError as error:
            self._fail(error.strerror or str(error))
        except Exception:
            log.exception("writing the state file crashed")
            self._fail("internal error")
        else:
            self._saved_revision = revision
            self._succeed(size)

    def _run(self) -> None:
        pause, waited, image_changes = SHORT_INTERVAL, 0.0, self._image_changes()
        while not self._stop.wait(pause):
            waited += pause
            if waited < INTERVAL and self._image_changes() == image_changes:
                continue
            started_at, image_changes = steady(), self._image_changes()
            self.save()
            pause, waited = max(SHORT_INTERVAL, (steady() - started_at) / MAX_SHARE), 0.0
        self.save(is_last=True)

    def _pausing(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            if self._stop.wait(PAUSE):
                raise _InterruptedError

    def _succeed(self, size: int) -> None:
        self._record_write(now().wall)
        fields = {"file": str(self._file.path), "bytes": size}
        if self.write_failed:
            log.info("state file is written again", extra={"fields": fields})
        else:
            log.debug("state file written", extra={"fields": fields})
        self.write_failed = False

    def _fail(self, reason: str) -> None:
        self._record_write(None)
        if not self.write_failed:
            fields = {"file": str(self._file.path), "error": reason}
            log.error("state file cannot be written, trying again", extra={"fields": fields})
        self.write_failed = True
