"""Tests of exporter.__main__: what holds before anything else is imported."""

import signal
import subprocess
import sys

import pytest

STOPPED_WHILE_IMPORTING = """
import os, signal, sys
me = os.getpid()
os.getpid = lambda: {pid}

class Stop:
    def find_spec(self, name, path, target=None):
        if name == "exporter.cli":
            os.kill(me, signal.SIGTERM)

sys.meta_path.insert(0, Stop())
from exporter.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("pid", "status"), [("1", 128 + signal.SIGTERM), ("me", -signal.SIGTERM)], ids=["first", "any"]
)
def test_sigterm_ends_it_while_it_starts(pid: str, status: int) -> None:
    """As process 1 too, whom the kernel would not end: a container stops at once."""
    code = STOPPED_WHILE_IMPORTING.format(pid=pid)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (status, b"")
