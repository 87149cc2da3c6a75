"""An exporter in the process of the tests, whose settings file can be changed and reloaded."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exporter.app import Application, build_application, build_exposition
from exporter.app_state import continue_from, state_saver
from exporter.config import Settings, parse, resolved_clouds, resolved_shard
from exporter.model.observation import Observation
from exporter.model.target import TargetKey
from exporter.redaction import Redactor
from exporter.reload import Reloader
from exporter.state.file import locked_state_file
from tests.support.polled_cloud import threads
from tests.support.program import Metrics, settings_file
from tests.support.wait import wait_until

LAB = "lab"


class ReloadableExporter:
    """An exporter that polls as the daemon does, and reloads when it is called.

    Attributes:
        reloaded: The settings that each successful reload has applied.
        redactor: Secrets that must not be in the state file.
        saver: Writes the state file, if the settings name one, also when the exporter is closed.
    """

    def __init__(
        self, folder: Path, *clouds: dict[str, Any], is_polling: bool = True, **general: Any
    ) -> None:
        self.folder = folder
        self.reloaded: list[Settings] = []
        self.redactor = Redactor()
        self.write(*clouds, **general)
        settings = self.load_settings()
        self.application: Application = build_application(
            resolved_clouds(settings), shard=resolved_shard(settings)
        )
        self._state_file = locked_state_file(settings.state.file)
        file = self._state_file.__enter__()
        self.saver = state_saver(self.application, file, self.redactor.redact) if file else None
        if file is not None:
            continue_from(self.application, file)
        self.application.jobs.start(self.application.pollers)
        if is_polling:
            self.application.scheduler.start()
        self.reloader = Reloader(
            self.application, settings, self.load_settings, self.reloaded.append
        )
        self.exposition = build_exposition(self.application)

    def write(self, *clouds: dict[str, Any], **general: Any) -> None:
        """Write the settings file."""
        general = {"interval": "1h", "timeout": "5s", **general}
        settings_file(self.folder, *clouds, **general)

    def load_settings(self) -> Settings:
        """Read the settings file."""
        return parse([f"--config.file={self.folder / 'exporter.yml'}"], {}).settings

    def reload(self, *clouds: dict[str, Any], **general: Any) -> tuple[str, ...]:
        """Write the settings file and reload it; return the errors."""
        self.write(*clouds, **general)
        return self.reloader.reload("test")

    def run_cycle_now(self, cloud: str = LAB) -> None:
        """Start the next cycle of a cloud."""
        self.application.jobs.run_now(cloud)

    def text(self) -> str:
        """Scrape the metrics."""
        return b"".join(self.exposition.body(openmetrics=False, compressed=False)).decode()

    def metrics(self) -> Metrics:
        """Scrape and parse the metrics."""
        return Metrics(self.text())

    def observation(self, image_id: str, cloud: str = LAB) -> Observation:
        """Return the latest observation of an image."""
        return self.application.store.observation(TargetKey(cloud, image_id))

    def wait_for_poll(self, *image_ids: str, cloud: str = LAB) -> None:
        """Wait until each of these images has been polled."""
        for image_id in image_ids:
            wait_until(lambda image_id=image_id: self.observation(image_id, cloud).polled_at)  # type: ignore[misc]  # mypy takes the default for an argument

    def wait_for_cycle(self, cloud: str = LAB) -> None:
        """Wait until the first cycle of a cloud has finished."""
        wait_until(lambda: self.application.store.cloud(cloud).last_cycle_at)

    def close(self) -> None:
        """Stop everything that runs."""
        self.reloader.close()
        self.application.close()
        if self.saver is not None:
            self.saver.save()
        self._state_file.__exit__(None, None, None)
        # Polls in progress find their connections closed.
        wait_until(lambda: not threads())


@contextmanager
def exporting(
    folder: Path, *clouds: dict[str, Any], **general: Any
) -> Iterator[ReloadableExporter]:
    """Run an exporter with these settings until the block ends."""
    exporter = ReloadableExporter(folder, *clouds, **general)
    try:
        yield exporter
    finally:
        exporter.close()


def cloud(endpoint: str, *images: Any, name: str = LAB, **more: Any) -> dict[str, Any]:
    """Return the settings of a cloud without Keystone."""
    return {"name": name, "endpoint": endpoint, "images": list(images), **more}


def run_concurrently(*functions: Callable[[], object]) -> None:
    """Call all functions at the same time and wait for them to return."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
