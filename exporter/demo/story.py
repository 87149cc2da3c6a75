"""The demo's story: the events of a four-minute loop on the simulated Image service."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeAlias

from exporter.demo.images import IMAGES
from exporter.simulator.service import SimulatedImageService

__all__ = ["EVENTS", "IMAGES", "LOOP_SECONDS", "DemoStory", "StoryEvent"]

LOOP_SECONDS = 240.0

Change: TypeAlias = Callable[[SimulatedImageService, str], object]
"""Changes the service. The text is the current time in Glance's format."""


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """A change ``at`` seconds after the start of a loop, and its description."""

    at: float
    description: str
    change: Change


def _edit(alias: str, **fields: Any) -> Change:  # fields of SimulatedImage
    image_id = IMAGES[alias].id
    return lambda service, now: service.images.change(image_id, updated_at=now, **fields)


def _restore(alias: str) -> Change:
    return lambda service, _: service.images.put(IMAGES[alias])


def _delete(alias: str) -> Change:
    return lambda service, now: service.images.delete(IMAGES[alias].id, at=now)


def _fail(code: int) -> Change:
    return lambda service, _: service.faults.set("status", code=code)


def _recover(service: SimulatedImageService, _: str) -> None:
    service.faults.clear()


def _stop(service: SimulatedImageService, _: str) -> None:
    service.stop()


def _start(service: SimulatedImageService, _: str) -> None:
    service.start()


EVENTS = (
    StoryEvent(
        10,
        "appliance: upload started, queued -> saving",
        _edit("appliance", status="saving", size=1_073_741_824),
    ),
    StoryEvent(
        25,
        "appliance: upload finished, saving -> active",
        _edit("appliance", status="active", checksum="3f8c1f0d5b2e4a6978c0d1e2f3a4b5c6"),
    ),
    StoryEvent(
        35,
        "ci-runner: deactivated by an administrator, instances can no longer boot from it",
        _edit("ci-runner", status="deactivated"),
    ),
    StoryEvent(50, "k8s-node: deleted, HEAD returns 404", _delete("k8s-node")),
    StoryEvent(60, "ci-runner: active again", _restore("ci-runner")),
    StoryEvent(
        70,
        "debian-12: content replaced under the same ID, checksum and size change",
        _edit("debian-12", size=355_926_016, checksum="c2d4e6f8091a2b3c4d5e6f708192a3b4"),
    ),
    StoryEvent(
        80,
        "postgres: made public, including the customer schema in it",
        _edit("postgres", visibility="public"),
    ),
    StoryEvent(90, "k8s-node: available again under the same ID", _restore("k8s-node")),
    StoryEvent(
        100,
        "golden-base: protection removed, the image can be deleted",
        _edit("golden-base", protected=False),
    ),
    StoryEvent(110, "postgres: private again", _restore("postgres")),
    StoryEvent(
        120,
        "nightly: upload started, queued -> saving",
        _edit("nightly", status="saving", size=734_003_200),
    ),
    StoryEvent(130, "golden-base: protected again", _restore("golden-base")),
    StoryEvent(
        135,
        "nightly: upload does not match its checksum, saving -> killed",
        _edit("nightly", status="killed", size=0, checksum="0" * 32),
    ),
    StoryEvent(
        150,
        "the Image service returns 503 for every request: no image may be reported as gone",
        _fail(code=503),
    ),
    StoryEvent(170, "the Image service works again", _recover),
    StoryEvent(185, "the Image service refuses connections", _stop),
    StoryEvent(200, "the Image service accepts connections again", _start),
    StoryEvent(210, "debian-12: original content restored", _restore("debian-12")),
    StoryEvent(220, "nightly: ready for a new upload, queued", _restore("nightly")),
    StoryEvent(230, "appliance: ready for a new upload, queued", _restore("appliance")),
)
"""The events of one loop in order. Afterwards all images are as before and nothing fails."""


class DemoStory:
    """Applies the events to a service, loop after loop, in a thread; a context manager.

    Args:
        service: a running service with IMAGES.
        print_line: called with the description of every event, in the story's thread.
        wait: waits for a number of seconds, or less if the story is stopped; returns True if
            it is. By default it waits for real time.
        now: Unix time in seconds, for the timestamps of the images.
    """

    def __init__(
        self,
        service: SimulatedImageService,
        print_line: Callable[[str], object],
        *,
        wait: Callable[[float], bool] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
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
        """Stop between two events; must be called before the service is stopped."""
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
            event.change(self._service, now.isoformat())
            self._print_line(event.description)
        return not self._wait(LOOP_SECONDS - elapsed)
