import gc
import subprocess
import sys
from pathlib import Path

from exporter.process import (
    GARBAGE_THRESHOLD,
    SWITCH_INTERVAL,
    collect_garbage_rarely,
    switch_threads_often,
)
from tests.support.program import GOLDEN, settings_file

RUN = """
import gc, sys
from exporter.cli import main
status = main(["run", f"--config.file={sys.argv[1]}", "--web.listen-address=192.0.2.1:0"])
print(status, gc.get_threshold()[0], sys.getswitchinterval())
"""
"""Runs the exporter with an address that this machine does not have, and prints what is left."""


def test_the_program_itself_collects_garbage_rarely_and_switches_threads_often(
    tmp_path: Path,
) -> None:
    file = settings_file(
        tmp_path, {"name": "lab", "endpoint": "http://127.0.0.1:1", "images": [GOLDEN]}
    )
    process = subprocess.run(
        [sys.executable, "-c", RUN, file], capture_output=True, text=True, check=False
    )
    expected = f"2 {GARBAGE_THRESHOLD} {SWITCH_INTERVAL}"
    assert process.stdout.splitlines()[-1:] == [expected], process.stderr


def test_rendering_a_group_of_images_collects_no_garbage() -> None:
    threshold = gc.get_threshold()
    collections: list[str] = []

    def note(phase: str, _: object) -> None:
        collections.append(phase)

    try:
        collect_garbage_rarely()
        gc.callbacks.append(note)
        rows = [(number,) for number in range(5000)]
        assert len(rows) == 5000
        assert collections == []
        assert gc.get_freeze_count() > 0
    finally:
        gc.callbacks.remove(note)
        gc.set_threshold(*threshold)
        gc.unfreeze()


def test_threads_switch_more_often_than_by_default() -> None:
    default = sys.getswitchinterval()
    try:
        switch_threads_often()
        assert sys.getswitchinterval() == SWITCH_INTERVAL < default
    finally:
        sys.setswitchinterval(default)
