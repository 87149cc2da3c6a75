"""Tests of the limit of open files with the program as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.simulator import SimulatedImageService
from tests.support.program import Program, environment, killed_at_the_end, settings_file, simulated
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

CLOUDS = 30
IMAGES = [simulated(f"{number:08d}-0000-4000-8000-000000000000") for number in range(16)]
WARNING = "too few open files"


@contextmanager
def started(folder: Path, ulimit: str) -> Iterator[Program]:
    """Start the program with a limit of open files and many clouds that respond slowly."""
    with SimulatedImageService(IMAGES) as service:
        service.faults.set("latency", seconds=0.2)
        cloud = {
            "endpoint": service.url,
            "api": "v1",
            "images": [image.id for image in IMAGES],
        }
        clouds = [{**cloud, "name": f"cloud-{number}"} for number in range(CLOUDS)]
        file = settings_file(folder, *clouds, interval="20s")
        command = (
            f"ulimit {ulimit}; exec {sys.executable} -m exporter run --config.file={file} "
            "--web.listen-address=127.0.0.1:0"
        )
        out, err = folder / "stdout", folder / "stderr"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                cwd=folder,
                env=environment(folder),
                stdout=stdout,
                stderr=stderr,
            )
        with killed_at_the_end(Program(process, out, err)) as program:
            yield program


def test_soft_limit_is_raised_to_the_hard_limit(tmp_path: Path) -> None:
    with started(tmp_path, "-Sn 300") as program:
        wait_until(lambda: program.lines("listening"))
        limits = Path(f"/proc/{program.process.pid}/limits").read_text()
        soft, hard = next(
            line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")
        )
        assert soft == hard
        assert program.lines(WARNING) == []


def test_polls_and_scrapes_succeed_with_few_files(tmp_path: Path) -> None:
    with started(tmp_path, "-n 512") as program:
        wait_until(lambda: len(program.lines("first cycle finished")) == CLOUDS, timeout=120)
        up = program.metrics().values("openstack_image_api_up")
        assert up == [1.0] * CLOUDS
        assert program.lines("poll failed") == []
        assert len(program.lines(WARNING, "limit=512", "needed=1684", "concurrency=1")) == 1
