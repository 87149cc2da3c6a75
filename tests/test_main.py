"""Start of the process, before anything else is imported."""

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
def test_sigterm_during_the_import_ends_the_process(pid: str, status: int) -> None:
    """The kernel does not deliver an unhandled signal to process 1."""
    code = STOPPED_WHILE_IMPORTING.format(pid=pid)
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (process.returncode, process.stderr) == (status, b"")
