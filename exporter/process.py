"""What signals ask for: the end, and that the settings are read again."""

import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


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


def note_hangups(into: SimpleQueue[str]) -> None:
    """From here on, each SIGHUP puts a word in the queue."""
    # Putting something in a SimpleQueue is safe also where the signal came in the middle of it.
    signal.signal(signal.SIGHUP, lambda number, frame: into.put("SIGHUP"))  # noqa: ARG005  # as above


def _on_stop_signals(handle: Callable[[int, object], None]) -> None:
    for each in STOP_SIGNALS:
        signal.signal(each, handle)
