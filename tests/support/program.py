"""The exporter as a separate process, and its configuration."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter.simulator import SimulatedImage
from tests.support.preloaded import ForkedProcess, preloaded_exporter
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]
BOUND = 60.0
"""Seconds after which a test fails. Generous: only a failing test ever waits that long."""
REQUEST_TIMEOUT = "60s"
"""The ``timeout`` of a daemon, so that a request that hangs outlasts the wait for its exit."""
STOP_TIMEOUT = 30.0
"""Seconds within which the program must exit after a signal.

Generous, but below ``REQUEST_TIMEOUT``: a program that waits for the requests in flight before it
exits does not pass.
"""

LINE_STARTS = ("ts=20", '{"ts": "20')
"""Starts of the lines of the log, in both formats."""

GOLDEN = "3c3d1d01-b48a-4639-8a88-08be3b9b5d78"
UBUNTU = "64d7c1cd-2b6f-40c9-9c14-662941cb7913"
ABSENT = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"


def simulated(image_id: str, name: str = "cirros", **fields: Any) -> SimulatedImage:
    """Return an image for a simulated service."""
    return SimulatedImage(image_id, name=name, **fields)


def settings_file(folder: Path, *clouds: Mapping[str, Any], **general: Any) -> Path:
    """Write a configuration file with these clouds, and return its path."""
    path = folder / "exporter.yml"
    path.write_text(yaml.safe_dump({**general, "clouds": list(clouds)}))
    return path


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment without this machine's settings for clouds and proxies."""
    foreign = re.compile(
        r"OS_|IMAGE_EXPORTER_|.*(_proxy|_ca_bundle)$|COLUMNS|.*_COLOR", re.IGNORECASE
    )
    neutral = {name: value for name, value in os.environ.items() if not foreign.match(name)}
    return {**neutral, "PYTHONPATH": str(ROOT), "HOME": str(folder), **more}


def run_program(
    folder: Path,
    *argv: str,
    environ: Mapping[str, str] | None = None,
    is_preloaded: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run the program until it exits by itself.

    ``is_preloaded`` is for tests of the start itself, which takes long: False imports the program.
    """
    env = environment(folder, **(environ or {}))
    if is_preloaded:
        return preloaded_exporter().run(argv, cwd=folder, env=env, timeout=BOUND)
    return subprocess.run(
        [sys.executable, "-m", "exporter", *argv],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


class Metrics:
    """The metrics of a scrape, parsed by Prometheus' own client."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def values(self, name: str, /, **labels: str) -> list[float]:
        """Return the values of all series with this name and at least these labels."""
        return [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def value(self, name: str, /, **labels: str) -> float | None:
        """Return the value of the only series with this name and these labels, or None."""
        values = self.values(name, **labels)
        assert len(values) <= 1
        return values[0] if values else None


@dataclass
class Program:
    """A running program."""

    process: subprocess.Popen[bytes] | ForkedProcess
    out: Path
    err: Path

    @property
    def stdout(self) -> str:
        """Return the text on standard output."""
        return self.out.read_text("utf-8")

    @property
    def log_lines(self) -> list[str]:
        """Return the lines on standard error."""
        # str.splitlines would also split at other characters, which must not appear at all.
        return self.err.read_text("utf-8").removesuffix("\n").split("\n")

    def lines(self, *parts: str) -> list[str]:
        """Return the log lines that contain all of these parts."""
        return [line for line in self.log_lines if all(part in line for part in parts)]

    def line(self, *parts: str) -> str:
        """Wait for the only log line that contains all of these parts, and return it."""
        (line,) = wait_until(lambda: self.lines(*parts))
        return line

    @cached_property
    def port(self) -> int:
        """Wait until the program listens, and return its port."""

        def listening() -> re.Match[str] | None:
            assert self.process.poll() is None, self.log_lines
            return re.search(r"addresses=\S*?:(\d+)$", "\n".join(self.log_lines), re.MULTILINE)

        return int(wait_until(listening)[1])

    def page(self, path: str) -> tuple[int, str]:
        """Return the status and the body of a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8")
        finally:
            connection.close()

    def metrics(self) -> Metrics:
        """Scrape ``/metrics``."""
        status, text = self.page("/metrics")
        assert status == 200
        return Metrics(text)

    def wait_for_metric(self, name: str, value: float, /, **labels: str) -> None:
        """Wait until there are series with this name and these labels, all with this value."""
        wait_until(
            lambda: set(self.metrics().values(name, **labels)) == {value},
            details=lambda: "\n".join(self.log_lines),
        )

    def stop(self, *signals: int) -> None:
        """Send SIGTERM, or these signals, and check that the program exits cleanly and soon.

        Cleanly means with status 0, without leaked resources or uncaught exceptions, and with
        nothing but log lines on standard error.
        """
        for number in signals or (signal.SIGTERM,):
            self.process.send_signal(number)
        sent_at = time.monotonic()
        status = self.process.wait(BOUND)
        assert time.monotonic() - sent_at < STOP_TIMEOUT
        assert status == 0, self.log_lines
        assert [line for line in self.log_lines if not line.startswith(LINE_STARTS)] == []
        assert self.lines("ResourceWarning") == []
        assert self.lines("level=error", "ncaught") == []


@contextmanager
def start_program(
    folder: Path,
    *argv: str,
    stdout_to: int | None = None,
    is_preloaded: bool = True,
    **environ: str,
) -> Iterator[Program]:
    """Start the program; it is killed at the end of the block if the test did not stop it.

    Standard output goes to a file, or to the descriptor ``stdout_to``. ``is_preloaded`` is as for
    ``run_program``.
    """
    out, err = folder / "stdout", folder / "stderr"
    env = environment(folder, **environ)
    process: subprocess.Popen[bytes] | ForkedProcess
    with out.open("wb") as stdout, err.open("wb") as stderr:
        outputs = (stdout.fileno() if stdout_to is None else stdout_to, stderr.fileno())
        if is_preloaded:
            process = preloaded_exporter().start(argv, folder, env, *outputs)
        else:
            process = subprocess.Popen(
                [sys.executable, "-W", "always::ResourceWarning", "-m", "exporter", *argv],
                cwd=folder,
                env=env,
                stdout=outputs[0],
                stderr=outputs[1],
            )
    with killed_at_the_end(Program(process, out, err)) as program:
        yield program


@contextmanager
def killed_at_the_end(program: Program) -> Iterator[Program]:
    """Kill the program at the end of the block if the test did not stop it."""
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.process.kill()
        program.process.wait(BOUND)


@contextmanager
def daemon(folder: Path, *clouds: Mapping[str, Any], **general: Any) -> Iterator[Program]:
    """Start ``run`` with these settings, on a free port."""
    general.setdefault("timeout", general.get("interval", REQUEST_TIMEOUT))
    file = settings_file(folder, *clouds, **general)
    argv = (f"--config.file={file}", "--web.listen-address=127.0.0.1:0")
    with start_program(folder, *argv) as program:
        yield program
