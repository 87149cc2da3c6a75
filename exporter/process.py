"""Signals of the process: SIGTERM and SIGINT stop it, SIGHUP reloads the settings.

SIGUSR1 writes the stacks of all threads to standard error, beside the log.
"""

import faulthandler
import signal
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals() -> threading.Event:
    """Return an event that the first SIGTERM or SIGINT sets. Later ones are ignored."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:  # noqa: ARG001  # the signature of a handler
        # The handler of a second signal within set() would wait forever for the lock of the first.
        # With SIG_IGN, Python would print an error for a signal that has already arrived.
        _handle_stop_signals(lambda number, frame: None)  # noqa: ARG005  # as above
        stop.set()

    _handle_stop_signals(handle)
    # By default SIGHUP ends the process, also when only its terminal closes.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return stop


def queue_hangups(queue: SimpleQueue[str]) -> None:
    """Put ``SIGHUP`` into the queue for each such signal from now on."""
    # SimpleQueue.put is reentrant: safe also if the signal interrupts another put.
    signal.signal(signal.SIGHUP, lambda number, frame: queue.put("SIGHUP"))  # noqa: ARG005  # as above


def dump_stacks_on_signal() -> None:
    """Write the stacks of all threads to standard error at each SIGUSR1 from now on.

    faulthandler writes them within the signal handler in C, so that they appear also while a thread
    holds the interpreter or the lock of the log. They name files, lines and functions, no values.
    """
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)


def _handle_stop_signals(handle: Callable[[int, object], None]) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, handle)
