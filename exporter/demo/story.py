"""The demo's story: plays the events on the simulated services, loop after loop."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from exporter.demo.events import EVENTS, LOOP_SECONDS
from exporter.demo.services import DemoServices


class DemoStory:
    """Applies the events to the services, loop after loop, in a thread; a context manager.

    Args:
        services: the running services.
        print_line: called with the line of every event, in the story's thread.
        wait: waits for a number of seconds, or less if the story is stopped; returns True if
            it is. By default it waits for real time.
        now: Unix time in seconds, for the timestamps of the images.
    """

    def __init__(
        self,
        services: DemoServices,
        print_line: Callable[[str], object],
        *,
        wait: Callable[[float], bool] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._services = services
        self._print_line = print_line
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._now = now
        self._thread = threading.Thread(target=self._run, name="demo-story", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the first loop."""
        self._thread.start()

    def stop(self) -> None:
        """Stop between two events; must be called before the services are stopped."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while self._run_loop():
            pass

    def _run_loop(self) -> bool:
        """Apply the events of one loop; return False if the story was stopped."""
        elapsed = 0.0
        for event in EVENTS:
            if self._wait(event.at - elapsed):
                return False
            elapsed = event.at
            now = datetime.fromtimestamp(self._now(), UTC).replace(tzinfo=None)
            event.change(self._services, now.isoformat())
            self._print_line(event.line)
        return not self._wait(LOOP_SECONDS - elapsed)
