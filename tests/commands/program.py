"""The program itself, in a process of its own, and settings for it."""

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
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter.simulator import SimulatedImage
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]
BOUND = 20.0
"""Seconds within which what a test waits for must happen."""
QUICKLY = 2.0
"""Seconds within which a program that is told to end must have ended."""

GOLDEN = "3c3d1d01-b48a-4639-8a88-08be3b9b5d78"
UBUNTU = "64d7c1cd-2b6f-40c9-9c14-662941cb7913"
ABSENT = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"


def simulated(image_id: str, name: str = "cirros", **fields: Any) -> SimulatedImage:
    """An image of a simulated service."""
    return SimulatedImage(image_id, name=name, **fields)


def settings_file(folder: Path, *clouds: Mapping[str, Any], **general: Any) -> Path:
    """A settings file with these clouds."""
    path = folder / "exporter.yml"
    path.write_text(yaml.safe_dump({**general, "clouds": list(clouds)}))
    return path


def environment(folder: Path, **more: str) -> dict[str, str]:
    """An environment in which nothing of this machine is configured."""
    foreign = re.compile(
        r"OS_|IMAGE_EXPORTER_|.*(_proxy|_ca_bundle)$|COLUMNS|.*_COLOR", re.IGNORECASE
    )
    kept = {name: value for name, value in os.environ.items() if not foreign.match(name)}
    return {**kept, "PYTHONPATH": str(ROOT), "HOME": str(folder), **more}


def ended(
    folder: Path, *argv: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What the program said until it ended by itself."""
    return subprocess.run(
        [sys.executable, "-m", "exporter", *argv],
        cwd=folder,
        env=environment(folder, **(environ or {})),
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


class Metrics:
    """A page of metrics, parsed by Prometheus' own client."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def values(self, name: str, /, **labels: str) -> list[float]:
        """The values of the series with this name and these labels among others."""
        return [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def value(self, name: str, /, **labels: str) -> float | None:
        """The value of the one series with this name and these labels; None without one."""
        found = self.values(name, **labels)
        assert len(found) <= 1
        return found[0] if found else None


@dataclass
class Program:
    """The program while it runs."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def said(self) -> str:
        """What it wrote on standard output."""
        return self.out.read_text("utf-8")

    @property
    def logged(self) -> list[str]:
        """The lines that it wrote on standard error."""
        # Other characters also end a line for splitlines: none may be there.
        return self.err.read_text("utf-8").removesuffix("\n").split("\n")

    def lines(self, *parts: str) -> list[str]:
        """The log lines that hold all of these parts."""
        return [line for line in self.logged if all(part in line for part in parts)]

    def line(self, *parts: str) -> str:
        """The one log line that holds all of these parts, once it is there."""
        (line,) = wait_until(lambda: self.lines(*parts))
        return line

    @property
    def port(self) -> int:
        """The port that it listens on, once it does."""

        def listening() -> re.Match[str] | None:
            assert self.process.poll() is None, self.logged
            return re.search(r"addresses=\S*?:(\d+)$", "\n".join(self.logged), re.MULTILINE)

        return int(wait_until(listening)[1])

    def page(self, path: str) -> tuple[int, str]:
        """Status and body of a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8")
        finally:
            connection.close()

    def metrics(self) -> Metrics:
        """What ``/metrics`` says now."""
        status, text = self.page("/metrics")
        assert status == 200
        return Metrics(text)

    def shows(self, name: str, value: float, /, **labels: str) -> None:
        """Wait until at least one series of this kind is there and all have this value."""
        wait_until(lambda: set(self.metrics().values(name, **labels)) == {value})

    def ends(self, *signals: int) -> float:
        """Send it signals and return how many seconds it took to end well.

        That is with status 0, with nothing but log lines on standard error, and with everything
        closed that was opened.
        """
        begun = time.monotonic()
        for each in signals or (signal.SIGTERM,):
            self.process.send_signal(each)
        status = self.process.wait(BOUND)
        took = time.monotonic() - begun
        assert status == 0, self.logged
        assert [line for line in self.logged if not line.startswith("ts=20")] == []
        assert self.lines("ResourceWarning") == []
        assert self.lines("level=error", "ncaught") == []
        return took


@contextmanager
def started(
    folder: Path, *argv: str, stdout_to: int | None = None, **environ: str
) -> Iterator[Program]:
    """The program, until the block ends; to be ended by the test itself.

    Standard output goes to a file, or to the descriptor ``stdout_to``.
    """
    out, err = folder / "stdout", folder / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-W", "always::ResourceWarning", "-m", "exporter", *argv],
            cwd=folder,
            env=environment(folder, **environ),
            stdout=stdout if stdout_to is None else stdout_to,
            stderr=stderr,
        )
    try:
        yield Program(process, out, err)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(BOUND)


@contextmanager
def daemon(folder: Path, *clouds: Mapping[str, Any], **general: Any) -> Iterator[Program]:
    """``run`` with these settings, on a port of its own."""
    general.setdefault("timeout", general.get("interval", "10s"))
    file = settings_file(folder, *clouds, **general)
    with started(folder, f"--config.file={file}", "--web.listen-address=127.0.0.1:0") as program:
        yield program
