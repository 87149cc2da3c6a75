"""The exporter in a process of its own, which polls every four seconds."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter.model.outcome import REASONS
from tests.support.wait import wait_until

INTERVAL = 4.0
"""Seconds, also the timeout of a request: Glance is slow when it validates a token."""

PATIENCE = 300.0
"""Seconds after which a test fails. On a busy machine, many cycles have polls that time out."""

TIMEOUT = 30.0

NOT_COMPARED = {
    "openstack_image_last_change_timestamp_seconds",  # A time of a poll.
    "openstack_image_state_info",  # Other series have the same states.
    "openstack_image_updated_timestamp_seconds",  # It has whole seconds: it may or may not change.
}

Series = tuple[str, frozenset[tuple[str, str]]]
Samples = dict[Series, float]
Change = tuple[float | None, float | None]
"""The value of a series before and after; None if the series does not exist."""


class Exporter:
    """A running exporter, observed by ``/metrics``; failures show its log."""

    def __init__(self, url: str, clouds: tuple[str, ...], log: Path) -> None:
        self.url = url
        self.clouds = clouds
        self._log = log
        self._last_cycle: Samples | None = None
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        """Close the connection to the exporter."""
        self._session.close()

    def scrape(self) -> Samples:
        """Return all series."""
        response = self._session.get(f"{self.url}/metrics", timeout=TIMEOUT)
        response.raise_for_status()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(response.text)
            for sample in family.samples
        }

    def wait_until(self, condition: Callable[[Samples], bool], description: str) -> Samples:
        """Scrape until ``condition`` is true of the samples, and return them."""

        def matching_samples() -> Samples | None:
            samples = self.scrape()
            return samples if condition(samples) else None

        return wait_until(
            matching_samples,
            PATIENCE,
            pause=0.05,
            details=lambda: f"{description}\n{self._log_end()}",
        )

    def next_cycle(self) -> Samples:
        """Return a scrape after a cycle of every cloud that started after this call.

        A cycle in which a poll took too long is not counted: the machine was busy.
        """
        samples = self.scrape()
        deadline = time.monotonic() + PATIENCE
        slow_polls = -1.0
        while _slow_polls(samples) != slow_polls and time.monotonic() < deadline:
            slow_polls, samples = _slow_polls(samples), self._next_cycle(samples)
        self._last_cycle = samples if _are_all_successful(samples) else None
        return samples

    def _next_cycle(self, before: Samples) -> Samples:
        called_at = time.time()

        def is_over(samples: Samples) -> bool:
            own = "openstack_image_exporter_last_cycle"
            are_over = all(
                samples.get(series(f"{own}_timestamp_seconds", cloud=cloud), 0.0)
                - samples.get(series(f"{own}_duration_seconds", cloud=cloud), 0.0)
                > called_at
                for cloud in self.clouds
            )
            # A failed poll is visible at once, but counted with its reason at the end of its cycle.
            return are_over and (
                _are_all_successful(samples) or _failed_polls(samples) > _failed_polls(before)
            )

        return self.wait_until(is_over, "a whole cycle")

    def changes_by(self, act: Callable[[], object]) -> dict[str, Change]:
        """Return the changes on ``/metrics`` after an action and the next whole cycle.

        Keys have the form ``image: metric{labels}``. All clouds have the same images, and their
        changes must be the same. Each test changes images of its own, so the last cycle that was
        seen shows the state before.
        """
        before = self._last_cycle or self.next_cycle()
        act()
        return self.changes(before, self.next_cycle())

    def changes(self, before: Samples, after: Samples) -> dict[str, Change]:
        """Return the series of images that differ."""
        per_cloud = [
            dict(_differences(_of_images(before, cloud), _of_images(after, cloud)))
            for cloud in self.clouds
        ]
        are_equal = all(changes == per_cloud[0] for changes in per_cloud)
        assert are_equal, f"{per_cloud}\n{self._log_end()}"
        return per_cloud[0]

    def _log_end(self) -> str:
        return self._log.read_text("utf-8")[-4000:]


def _are_all_successful(samples: Samples) -> bool:
    return all(
        value for (name, _), value in samples.items() if name == "openstack_image_poll_success"
    )


def _slow_polls(samples: Samples) -> float:
    """Return how many polls have timed out, or found no time in their cycle for all requests."""
    return _failed_polls(samples, {"timeout", "not_polled", "unconfirmed"})


def _failed_polls(samples: Samples, reasons: Container[str] = REASONS) -> float:
    return sum(
        value
        for (name, labels), value in samples.items()
        if name == "openstack_image_exporter_poll_failures_total"
        and dict(labels)["reason"] in reasons
    )


def series(name: str, **labels: str) -> Series:
    """Return a key of ``Samples``."""
    return name, frozenset(labels.items())


def _of_images(samples: Samples, cloud: str) -> dict[str, float]:
    values = {}
    for (name, pairs), value in samples.items():
        labels = dict(pairs)
        if "image_id" in labels and labels.pop("cloud") == cloud and name not in NOT_COMPARED:
            del labels["image_id"]
            alias = labels.pop("image")
            rest = ",".join(f'{key}="{text}"' for key, text in sorted(labels.items()))
            values[f"{alias}: {name}{{{rest}}}" if rest else f"{alias}: {name}"] = value
    return values


def _differences(
    before: Mapping[str, float], after: Mapping[str, float]
) -> Iterator[tuple[str, Change]]:
    for key in sorted(before.keys() | after.keys()):
        change = before.get(key), after.get(key)
        if change[0] != change[1]:
            yield key, change


@contextmanager
def exporter(
    folder: Path, images: Mapping[str, str], clouds: tuple[str, ...], environ: Mapping[str, str]
) -> Iterator[Exporter]:
    """Run the exporter with entries of clouds.yaml; ``images`` maps aliases to IDs."""
    config = {
        "interval": f"{INTERVAL:g}s",
        "timeout": f"{INTERVAL:g}s",
        "clouds": [
            {
                "name": cloud,
                "cloud": cloud,
                "api": "v2",
                "images": [{"id": image_id, "alias": alias} for alias, image_id in images.items()],
            }
            for cloud in clouds
        ],
    }
    (folder / "exporter.yaml").write_text(yaml.safe_dump(config), "utf-8")
    log = folder / "exporter.log"
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OS_", "IMAGE_EXPORTER_")) and not key.lower().endswith("_proxy")
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "exporter", "run"),
                *("--config.file", str(folder / "exporter.yaml")),
                *("--web.listen-address", "127.0.0.1:0"),
            ],
            env={**inherited, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        running = Exporter(f"http://{_address(process, log)}", clouds, log)
        try:
            yield running
        finally:
            running.close()
    finally:
        process.terminate()
        try:
            status = process.wait(TIMEOUT)
        finally:
            process.kill()
            process.wait()
    assert status == 0, log.read_text("utf-8")


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:

    def listening() -> re.Match[str] | None:
        text = log.read_text("utf-8")
        assert process.poll() is None, f"the exporter has exited:\n{text}"
        return re.search(r"addresses=\"?(127\.0\.0\.1:\d+)", text)

    return wait_until(listening, pause=0.05, details=lambda: log.read_text("utf-8"))[1]
