"""The demo's story: what happens to its images in four minutes, over and over."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeAlias

from exporter.demo.images import IMAGES
from exporter.simulator.service import SimulatedImageService

__all__ = ["IMAGES", "LOOP_SECONDS", "SCENES", "Scene", "Storyteller"]

LOOP_SECONDS = 240.0

Change: TypeAlias = Callable[[SimulatedImageService, str], object]
"""Does something to the service at a time, which is written as Glance writes it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens ``at`` seconds after a loop began, in words and as a change."""

    at: float
    says: str
    change: Change


def _edit(alias: str, **fields: Any) -> Change:  # fields of SimulatedImage
    image_id = IMAGES[alias].id
    return lambda service, now: service.images.change(image_id, updated_at=now, **fields)


def _restore(alias: str) -> Change:
    return lambda service, _: service.images.put(IMAGES[alias])


def _delete(alias: str) -> Change:
    return lambda service, now: service.images.delete(IMAGES[alias].id, at=now)


def _fail(name: str, **options: Any) -> Change:  # those of Faults.set
    return lambda service, _: service.faults.set(name, **options)


def _recover(service: SimulatedImageService, _: str) -> None:
    service.faults.clear()


def _refuse(service: SimulatedImageService, _: str) -> None:
    service.stop()


def _listen(service: SimulatedImageService, _: str) -> None:
    service.start()


SCENES = (
    Scene(
        10,
        "appliance: its upload begins, queued -> saving",
        _edit("appliance", status="saving", size=1_073_741_824),
    ),
    Scene(
        25,
        "appliance: uploaded, saving -> active",
        _edit("appliance", status="active", checksum="3f8c1f0d5b2e4a6978c0d1e2f3a4b5c6"),
    ),
    Scene(
        35,
        "ci-runner: an administrator deactivates it, nothing boots from it now",
        _edit("ci-runner", status="deactivated"),
    ),
    Scene(50, "k8s-node: deleted, HEAD answers 404", _delete("k8s-node")),
    Scene(60, "ci-runner: active again", _restore("ci-runner")),
    Scene(
        70,
        "debian-12: other content under the same ID, checksum and size change",
        _edit("debian-12", size=355_926_016, checksum="c2d4e6f8091a2b3c4d5e6f708192a3b4"),
    ),
    Scene(
        80, "postgres: made public, with what it contains", _edit("postgres", visibility="public")
    ),
    Scene(90, "k8s-node: back under its old ID", _restore("k8s-node")),
    Scene(
        100,
        "golden-base: loses its protection, anyone may delete it",
        _edit("golden-base", protected=False),
    ),
    Scene(110, "postgres: private again", _restore("postgres")),
    Scene(
        120,
        "nightly: its upload begins, queued -> saving",
        _edit("nightly", status="saving", size=734_003_200),
    ),
    Scene(130, "golden-base: protected again", _restore("golden-base")),
    Scene(
        135,
        "nightly: the upload does not match its checksum, saving -> killed",
        _edit("nightly", status="killed", size=0, checksum="0" * 32),
    ),
    Scene(
        150,
        "the Image service answers 503 to everything: no image may be called gone",
        _fail("status", code=503),
    ),
    Scene(170, "the Image service answers again", _recover),
    Scene(185, "the Image service refuses connections", _refuse),
    Scene(200, "the Image service listens again", _listen),
    Scene(210, "debian-12: its first content is back", _restore("debian-12")),
    Scene(220, "nightly: a new upload is prepared, queued", _restore("nightly")),
    Scene(230, "appliance: a new upload is prepared, queued", _restore("appliance")),
)
"""One loop, in order; it ends with IMAGES as they were and nothing failing."""


class Storyteller:
    """Plays the scenes on a service, loop after loop, in a thread; a context manager.

    Args:
        service: a started service that holds IMAGES.
        say: is given each scene's words, in the storyteller's thread.
        wait: waits so many seconds, or less when the story is to end, and returns
            whether it is; the story's own clock by default.
        now: unix seconds, for the times that images carry.
    """

    def __init__(
        self,
        service: SimulatedImageService,
        say: Callable[[str], object],
        *,
        wait: Callable[[float], bool] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._say = say
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._now = now
        self._thread = threading.Thread(target=self._tell, name="storyteller", daemon=True)

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
        """Begin the first loop."""
        self._thread.start()

    def stop(self) -> None:
        """End the story where it is; call it before the service is stopped."""
        self._stopped.set()
        self._thread.join()

    def _tell(self) -> None:
        while self._tell_once():
            pass

    def _tell_once(self) -> bool:
        """Play one loop; False when the story is to end."""
        clock = 0.0
        for scene in SCENES:
            if self._wait(scene.at - clock):
                return False
            clock = scene.at
            moment = datetime.fromtimestamp(self._now(), UTC).replace(tzinfo=None)
            scene.change(self._service, moment.isoformat())
            self._say(scene.says)
        return not self._wait(LOOP_SECONDS - clock)
