"""The exporter itself, as a child process that polls every two seconds."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

INTERVAL = 2.0
"""Seconds, also for one request: a Glance that has to ask Keystone about a token is slow."""

TIMEOUT = 30.0

UPDATED = "openstack_image_updated_timestamp_seconds"
"""Counts whole seconds, so that a change may or may not move it: not compared."""

Series = tuple[str, frozenset[tuple[str, str]]]
Samples = dict[Series, float]
Change = tuple[float | None, float | None]
"""The value of a series before and after; None where there is no series."""


class Exporter:
    """A running exporter, seen only through ``/metrics``; its log explains what fails."""

    def __init__(self, url: str, clouds: tuple[str, ...], log: Path) -> None:
        self.url = url
        self.clouds = clouds
        self._log = log
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        """Close the connection to it."""
        self._session.close()

    def scrape(self) -> Samples:
        """Every series there is now."""
        answer = self._session.get(f"{self.url}/metrics", timeout=TIMEOUT)
        answer.raise_for_status()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    def wait_until(self, condition: Callable[[Samples], bool], what: str) -> Samples:
        """The first scrape for which ``condition`` holds."""
        end = time.monotonic() + TIMEOUT
        while not condition(samples := self.scrape()):
            assert time.monotonic() < end, f"not within {TIMEOUT:g} s: {what}\n{self._said()}"
            time.sleep(0.05)
        return samples

    def next_cycle(self) -> Samples:
        """A scrape after the end of a cycle, of every cloud, that begins only after this call."""
        called_at = time.time()

        def is_over(samples: Samples) -> bool:
            own = "openstack_image_exporter_last_cycle"
            return all(
                samples.get(series(f"{own}_timestamp_seconds", cloud=cloud), 0.0)
                - samples.get(series(f"{own}_duration_seconds", cloud=cloud), 0.0)
                > called_at
                for cloud in self.clouds
            )

        return self.wait_until(is_over, "a whole cycle")

    def changes_by(self, act: Callable[[], object]) -> dict[str, Change]:
        """What one act changes on ``/metrics`` by the end of the cycle that begins after it.

        Keys are written ``image: metric{labels}``; that it is the same for every cloud, all of
        which watch the same images, is asserted.
        """
        before = self.next_cycle()
        act()
        return self.changes(before, self.next_cycle())

    def changes(self, before: Samples, after: Samples) -> dict[str, Change]:
        """The series of images that are not the same in both."""
        per_cloud = [
            dict(_differences(_of_images(before, cloud), _of_images(after, cloud)))
            for cloud in self.clouds
        ]
        assert all(each == per_cloud[0] for each in per_cloud), f"{per_cloud}\n{self._said()}"
        return per_cloud[0]

    def _said(self) -> str:
        return self._log.read_text("utf-8")[-4000:]


def series(name: str, **labels: str) -> Series:
    """A key of ``Samples``."""
    return name, frozenset(labels.items())


def _of_images(samples: Samples, cloud: str) -> dict[str, float]:
    found = {}
    for (name, pairs), value in samples.items():
        labels = dict(pairs)
        if "image_id" in labels and labels.pop("cloud") == cloud and name != UPDATED:
            del labels["image_id"]
            alias = labels.pop("image")
            rest = ",".join(f'{key}="{text}"' for key, text in sorted(labels.items()))
            found[f"{alias}: {name}{{{rest}}}" if rest else f"{alias}: {name}"] = value
    return found


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
    """Run it against entries of clouds.yaml; ``images`` gives the ID of each alias."""
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
    end = time.monotonic() + TIMEOUT
    while not (found := re.search(r"addresses=\"?(127\.0\.0\.1:\d+)", log.read_text("utf-8"))):
        running = process.poll() is None and time.monotonic() < end
        assert running, f"the exporter does not listen:\n{log.read_text('utf-8')}"
        time.sleep(0.05)
    return found[1]
