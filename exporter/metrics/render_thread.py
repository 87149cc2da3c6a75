"""A thread that renders images soon after they change, so that scrapes do not have to."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.metrics.exposition import Exposition

log = logging.getLogger(__name__)

INTERVAL = 0.5
"""Seconds from the end of one pass to the start of the next.

Images are polled in their order, so most of those that changed meanwhile are neighbours, whose text
is compressed once. The longer the interval, the less often, and the more is left for a scrape.
"""

PAUSE = 0.002
"""Seconds between two groups of images.

Without a pause the thread would take the lock again before a waiting scrape wakes up.
"""


@contextmanager
def rendering_in_background(exposition: Exposition) -> Iterator[None]:
    """Render what changes in a thread of its own, until the context ends."""
    stop = threading.Event()
    thread = threading.Thread(
        target=_render_until, args=(exposition, stop), name="render", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _render_until(exposition: Exposition, stop: threading.Event) -> None:
    while not stop.wait(INTERVAL):
        try:
            while exposition.render_group() and not stop.wait(PAUSE):
                pass
        except Exception:
            # The images stay marked as changed, and the next scrape reports the error too.
            log.exception("failed to render metrics")
