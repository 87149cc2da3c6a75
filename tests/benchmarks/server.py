"""The simulated Image service in a process of its own, apart from the measured one.

``python -m tests.benchmarks.server COUNT LATENCY`` prints its URL and serves until the end of its
standard input.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import tests.support.fakes.faults  # noqa: F401 - registers the fault "latency"
from exporter.simulator.service import SimulatedImageService
from tests.benchmarks.images import simulated


@contextmanager
def serving(count: int, latency: float = 0.0) -> Iterator[str]:
    """Yield the URL of a service with ``count`` images that responds after ``latency`` seconds."""
    command = [sys.executable, "-m", "tests.benchmarks.server", str(count), str(latency)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def main(count: int, latency: float) -> None:
    """Serve until the end of standard input."""
    with SimulatedImageService(simulated(count)) as service:
        if latency:
            service.faults.set("latency", seconds=latency)
        print(service.url, flush=True)  # noqa: T201  # read by the parent process
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
