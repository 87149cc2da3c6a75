"""Signals of the process, and how often it collects garbage and switches threads.

SIGTERM and SIGINT stop it, and SIGHUP reloads the settings. SIGUSR1 writes the stacks of all
threads to standard error, beside the log.
"""

import faulthandler
import gc
import signal
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

GARBAGE_THRESHOLD = 10_000
"""Objects to create, and not to free, before Python looks for garbage among them; its default is
700, and 2,000 since Python 3.13. Rendering a group of images keeps a few thousand for a moment."""


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


SWITCH_INTERVAL = 0.001
"""Seconds for which a thread keeps the interpreter while others wait; Python's default is 0.005."""


def switch_threads_often() -> None:
    """Let threads wait less for each other.

    A request to a page waits several times, for polls and rendering. While 10,000 images were found
    again, a request to ``/-/healthy`` took up to 98 ms with the default, and 46 ms with this.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)


def collect_garbage_rarely() -> None:
    """Look for cycles of objects less often, and never among those that exist now.

    All threads stop meanwhile, with 100,000 images for 0.7 s. It took a third of the time in which
    changed images were rendered. Nearly all objects are freed without it: a cycle of polls leaves
    about 100 for it, and one that fails at most 2,500.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


def _handle_stop_signals(handle: Callable[[int, object], None]) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, handle)
