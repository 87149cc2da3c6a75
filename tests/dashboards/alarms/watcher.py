"""The exporters of the end-to-end test: processes that are stopped, killed, moved and reloaded."""

import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from tests.dashboards.alarms.cloud import Cloud, wait_long
from tests.dashboards.alarms.ports import reserved_port
from tests.dashboards.alarms.scaled import FACTOR
from tests.support.program import BOUND, ROOT, Metrics, Program, settings_file, start_program

JOB = "openstack-images"
BACKOFF = f"""
import exporter.auth.token_cache as token_cache
token_cache.MAX_BACKOFF /= {FACTOR}
"""
"""Shortens the one time of the exporter that the rules count on and that is no setting."""


class Watcher:
    """The daemon that watches some clouds, and its entry among Prometheus' targets.

    Its port stays its own while it is not there, unless it moves.
    """

    def __init__(self, name: str, folder: Path, clouds: Sequence[Cloud], stack: ExitStack) -> None:
        self.job = f"{JOB}-{name}"
        self.clouds = clouds
        self.targets = folder / "targets.json"
        self.name = name
        self._folder = folder
        self._stack = stack
        self._lives = 0
        self._address = ""
        self.program: Program
        self.move()

    def start(self) -> None:
        """Run it, and tell Prometheus where."""
        self._lives += 1
        folder = self._folder / f"life-{self._lives}"
        folder.mkdir(parents=True)
        entries = {cloud.name: cloud.sign_in() for cloud in self.clouds if cloud.keystone}
        (folder / "clouds.yaml").write_text(yaml.safe_dump({"clouds": entries}), "utf-8")
        (folder / "sitecustomize.py").write_text(BACKOFF, "utf-8")
        file = settings_file(folder, *(cloud.settings() for cloud in self.clouds))
        self.program = self._stack.enter_context(
            start_program(
                folder,
                "run",
                f"--config.file={file}",
                f"--web.listen-address={self._address}",
                OS_CLIENT_CONFIG_FILE=str(folder / "clouds.yaml"),
                PYTHONPATH=os.pathsep.join((str(folder), str(ROOT))),
            )
        )
        wait_long(self._listens)
        self._announce()

    def stop(self) -> None:
        """End it well."""
        self.program.stop()

    def kill(self) -> None:
        """End it so that it cannot do anything about it."""
        self.program.process.kill()
        self.program.process.wait(BOUND)

    def move(self) -> None:
        """Have it start as another instance the next time."""
        self._address = f"127.0.0.1:{self._stack.enter_context(reserved_port())}"

    def reload(self, settings: Mapping[str, Any]) -> None:
        """Give it other settings."""
        file = self._folder / f"life-{self._lives}" / "exporter.yml"
        _replace(file, yaml.safe_dump(settings))
        self.program.process.send_signal(signal.SIGHUP)

    def metrics(self) -> Metrics:
        """What it serves now."""
        return self.program.metrics()

    def _listens(self) -> bool:
        assert self.program.process.poll() is None, self.program.log_lines
        return bool(self.program.lines("addresses="))

    def _announce(self) -> None:
        """Tell Prometheus where it is, and in which pod."""
        labels = {"pod": f"{self.name}-{self._lives}"}
        entry = {"targets": [self._address], "labels": labels}
        _replace(self.targets, json.dumps([entry]))


def _replace(file: Path, text: str) -> None:
    """Write a file so that nobody reads half of it."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text, "utf-8")
    fresh.rename(file)
