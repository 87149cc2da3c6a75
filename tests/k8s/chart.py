"""Helm's engine as a process that renders the chart, and the manifests that it returns."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from tests.k8s.manifest import Manifest
from tests.k8s.programs import VENV_BIN
from tests.k8s.rendering import K8S

CHART = K8S / "chart"
RELEASE = "openstack-image-exporter"
RENDERER = Path(__file__).with_name("chart_renderer.py")
NOTES = "NOTES.txt"


class ChartError(Exception):
    """Helm refuses the values, or a template fails."""


@dataclass(frozen=True)
class Engine:
    """Helm's engine with the chart.

    Attributes:
        lint: The report of ``helm lint``.
    """

    lint: Mapping[str, Any]
    stdin: IO[str]
    stdout: IO[str]

    def files(self, values: Mapping[str, Any], namespace: str = RELEASE) -> dict[str, str]:
        """Return what each template renders in a release in the namespace, by its name.

        Raises:
            ChartError: Helm refuses the values, or a template fails.
        """
        request = json.dumps({"values": values, "namespace": namespace})
        self.stdin.write(f"{request}\n")
        self.stdin.flush()
        result = json.loads(self.stdout.readline())
        if "error" in result:
            raise ChartError(result["error"])
        return {path.rpartition("/")[2]: text for path, text in result["files"].items()}

    def render(self, **values: Any) -> list[Manifest]:
        """Return the manifests of a release with these values."""
        texts = [text for name, text in self.files(values).items() if name != NOTES]
        loaded = (yaml.load_all(text, yaml.CSafeLoader) for text in texts)
        return [manifest for manifests in loaded for manifest in manifests if manifest]


@contextmanager
def running_engine(log: Path) -> Iterator[Engine]:
    """Start Helm's engine, or skip the test if it is not installed."""
    if not [*VENV_BIN.parent.glob("lib/python*/site-packages/helm_python")]:
        pytest.skip("Helm's engine is not installed; `make k8s-env` installs it")
    command = [str(VENV_BIN / "python"), str(RENDERER), str(CHART), RELEASE]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        lint = process.stdout.readline()
        assert lint, log.read_text("utf-8")
        yield Engine(json.loads(lint), process.stdin, process.stdout)
