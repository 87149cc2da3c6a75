"""An exporter in this process whose settings can be written anew and reloaded."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exporter.app import Application, build
from exporter.clock import now
from exporter.config import Settings, parse, resolved_clouds
from exporter.metrics.exposition import Exposition
from exporter.model.observation import Observation
from exporter.model.target import TargetKey
from exporter.polling.clockwork import CloudJobs
from exporter.polling.scheduler import Scheduler
from exporter.reload import Reloader
from tests.polling.watch import threads
from tests.support.program import Metrics, settings_file
from tests.support.wait import wait_until

LAB = "lab"


class Exporter:
    """It polls as the daemon does, and is reloaded by a call."""

    def __init__(self, folder: Path, *clouds: dict[str, Any], **general: Any) -> None:
        self.folder = folder
        self.used: list[Settings] = []
        self.write(*clouds, **general)
        settings = self.read()
        self.parts: Application = build(resolved_clouds(settings))
        self.scheduler = Scheduler()
        clockwork = CloudJobs(self.scheduler)
        clockwork.begin(self.parts.pollers)
        self.scheduler.start()
        self.reloader = Reloader(self.parts, clockwork, settings, self.read, self.used.append)
        store, registry = self.parts.store, self.parts.instruments.registry
        self.exposition = Exposition(store, registry, now)

    def write(self, *clouds: dict[str, Any], **general: Any) -> None:
        """Another settings file."""
        general = {"interval": "1h", "timeout": "5s", **general}
        settings_file(self.folder, *clouds, **general)

    def read(self) -> Settings:
        """What the file says."""
        return parse([f"--config.file={self.folder / 'exporter.yml'}"], {}).settings

    def reload(self, *clouds: dict[str, Any], **general: Any) -> tuple[str, ...]:
        """Why these settings cannot be used; nothing where they are in use."""
        self.write(*clouds, **general)
        return self.reloader.reload("test")

    def text(self) -> str:
        """What a scrape gets now."""
        body = self.exposition.body(openmetrics=False, compressed=False)
        return b"".join(body.pieces).decode()

    def metrics(self) -> Metrics:
        """The same, parsed."""
        return Metrics(self.text())

    def seen(self, image_id: str, cloud: str = LAB) -> Observation:
        """What is known of an image."""
        return self.parts.store.observation(TargetKey(cloud, image_id))

    def polled(self, *image_ids: str, cloud: str = LAB) -> None:
        """Wait until each of these has been polled."""
        for image_id in image_ids:
            wait_until(lambda each=image_id: self.seen(each, cloud).polled_at)  # type: ignore[misc]  # mypy takes the default for an argument

    def cycled(self, cloud: str = LAB) -> None:
        """Wait until the first cycle of a cloud is over."""
        wait_until(lambda: self.parts.store.cloud(cloud).last_cycle_at)

    def end(self) -> None:
        """Ends all that runs."""
        self.reloader.end()
        self.scheduler.stop()
        self.parts.close()
        # Those that are at it just now find their connections closed.
        wait_until(lambda: not threads())


@contextmanager
def exporting(folder: Path, *clouds: dict[str, Any], **general: Any) -> Iterator[Exporter]:
    """An exporter with these settings, until the block ends."""
    made = Exporter(folder, *clouds, **general)
    try:
        yield made
    finally:
        made.end()


def cloud(endpoint: str, *images: Any, name: str = LAB, **more: Any) -> dict[str, Any]:
    """A cloud without Keystone."""
    return {"name": name, "endpoint": endpoint, "images": list(images), **more}


def at_once(*works: Any) -> None:
    """Runs all of it at the same time and waits for the end."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
