"""Processes of the exporters, which are stopped, killed, moved and reloaded."""

import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from tests.e2e_alerts.scaled import FACTOR
from tests.e2e_alerts.scenario_cloud import ScenarioCloud, wait_patiently
from tests.support.ports import reserved_port
from tests.support.program import BOUND, ROOT, Metrics, Program, settings_file, start_program

JOB = "openstack-images"
WITH_STATE_FILE = frozenset({"remembering"})
"""Exporters that keep their state in a file."""
TARGET_LABELS = {
    "renamed": {"cloud": "renamed-cloud"},
    "masked": {"image": "nginx"},
    "honored": {"cloud": "rack", "image": "nginx", "image_id": "42"},
}
"""Labels of the target of an exporter that has the same ones."""
HONORED = frozenset({"honored"})
"""Exporters whose labels win over those of the target."""
SHORTER_BACKOFF = f"""
import exporter.auth.token_cache as token_cache
token_cache.MAX_BACKOFF /= {FACTOR}
"""
"""Code that shortens the only duration of the rules that is not a setting of the exporter."""


class ExporterProcess:
    """An exporter of some clouds, and its target in Prometheus.

    Its port remains reserved while the process does not run, until it moves.
    """

    def __init__(
        self, name: str, folder: Path, clouds: Sequence[ScenarioCloud], stack: ExitStack
    ) -> None:
        self.job = f"{JOB}-{name}"
        self.clouds = clouds
        self.targets = folder / "targets.json"
        self.name = name
        self._folder = folder
        self._stack = stack
        self._starts = 0
        self._address = ""
        self._flags = [f"--state.file={folder / 'state.json'}"] if name in WITH_STATE_FILE else []
        self.program: Program
        self.move()

    def start(self) -> None:
        """Start the process, and add it to the targets of Prometheus."""
        self._starts += 1
        folder = self._folder / f"start-{self._starts}"
        folder.mkdir(parents=True)
        entries = {cloud.name: cloud.clouds_yaml_entry() for cloud in self.clouds if cloud.keystone}
        (folder / "clouds.yaml").write_text(yaml.safe_dump({"clouds": entries}), "utf-8")
        (folder / "sitecustomize.py").write_text(SHORTER_BACKOFF, "utf-8")
        file = settings_file(folder, *(cloud.settings() for cloud in self.clouds))
        self.program = self._stack.enter_context(
            start_program(
                folder,
                "run",
                f"--config.file={file}",
                f"--web.listen-address={self._address}",
                *self._flags,
                is_preloaded=False,
                OS_CLIENT_CONFIG_FILE=str(folder / "clouds.yaml"),
                PYTHONPATH=os.pathsep.join((str(folder), str(ROOT))),
            )
        )
        wait_patiently(self._is_listening)
        self._write_targets()

    def stop(self) -> None:
        """Stop the process cleanly."""
        self.program.stop()

    def kill(self) -> None:
        """Kill the process."""
        self.program.process.kill()
        self.program.process.wait(BOUND)

    def move(self) -> None:
        """Use another port, and so another instance, from the next start."""
        self._address = f"127.0.0.1:{self._stack.enter_context(reserved_port())}"

    def reload(self, settings: Mapping[str, Any]) -> None:
        """Replace the settings and reload them."""
        file = self._folder / f"start-{self._starts}" / "exporter.yml"
        _replace(file, yaml.safe_dump(settings))
        self.program.process.send_signal(signal.SIGHUP)

    def metrics(self) -> Metrics:
        """Scrape the metrics."""
        return self.program.metrics()

    def _is_listening(self) -> bool:
        assert self.program.process.poll() is None, self.program.log_lines
        return bool(self.program.lines("addresses="))

    def _write_targets(self) -> None:
        """Write the target with its address and pod."""
        labels = {"pod": f"{self.name}-{self._starts}", **TARGET_LABELS.get(self.name, {})}
        entry = {"targets": [self._address], "labels": labels}
        _replace(self.targets, json.dumps([entry]))


def _replace(file: Path, text: str) -> None:
    """Replace a file atomically."""
    new_file = file.with_suffix(".new")
    new_file.write_text(text, "utf-8")
    new_file.rename(file)
