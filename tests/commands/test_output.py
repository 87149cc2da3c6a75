"""Output of ``check``: JSON, tables on terminals and in pipes, and hostile names."""

import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from exporter.clock import now
from exporter.commands.output import format_bytes, yes_no
from exporter.model.observation import Observation
from exporter.model.status import STATES, image_status
from exporter.model.target import Target
from exporter.simulator import SimulatedImageService
from exporter.web.pages.json_api import image_document
from tests.commands.checks import EXPECTING, GOLDEN_ALIAS, row, run_check
from tests.support.program import (
    ABSENT,
    BOUND,
    GOLDEN,
    UBUNTU,
    environment,
    run_program,
    settings_file,
)

API_KEYS = image_document(image_status(Target("a", "b", "c"), Observation(), now())).keys()
HOSTILE = "x\x1b[2J\u202e\x85\x07[red]/[/nothing] :boom: \\"
KEYS_OF_CHECK = (
    "cloud", "image", "image_id", "source", "as_expected", "exists", "state", "name", "failure",
)  # fmt: skip
"""Keys of an image that scripts have relied on since the first version."""


def test_json_has_every_image_in_the_form_of_the_api(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, ABSENT]}
    _, text = run_check(tmp_path, cloud, output_format="json")
    for image in json.loads(text)["images"]:
        assert image.keys() - {"as_expected", "failure"} == API_KEYS
        assert image["state"] in STATES
        assert image["last_poll"]["success"]


def test_json_has_every_result(tmp_path: Path, service: SimulatedImageService) -> None:
    service.images.change(GOLDEN, name=HOSTILE)
    images = [*EXPECTING, {"id": UBUNTU, "expect": {"max_age": "1s"}}]
    cloud = {"name": "lab", "endpoint": service.url, "images": images}
    service.faults.set("status", on=UBUNTU, code=403)
    status, text = run_check(tmp_path, cloud, output_format="json")
    assert status == 1
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    document = json.loads(text)
    assert (document["as_expected"], document["problems"]) == (False, [])
    assert document["expectations"] == {"met": 3, "not_met": 2, "not_judged": 2}
    golden, absent, ubuntu = document["images"]
    results = {result.pop("expectation"): result for result in golden.pop("expectations")}
    assert {key: golden[key] for key in KEYS_OF_CHECK} == {
        "cloud": "lab",
        "image": "golden",
        "image_id": GOLDEN,
        "source": "configured",
        "as_expected": False,
        "exists": True,
        "state": "active",
        "name": HOSTILE,
        "failure": None,
    }
    assert results == {
        "status": {"expected": ["active", "deactivated"], "actual": "active", "met": True},
        "protected": {"expected": False, "actual": True, "met": False},
        "hidden": {"expected": False, "actual": None, "met": None},
        "size": {
            "expected": {"min": 2**30, "max": 2**32},
            "actual": 2361393152,
            "met": True,
        },
        "properties": {
            "expected": {"os_distro": "ubuntu"},
            "actual": {"os_distro": None},
            "met": False,
        },
    }
    assert (absent["as_expected"], absent["exists"], absent["state"]) == (True, False, "gone")
    assert ubuntu["failure"] == {"reason": "forbidden", "detail": "HTTP 403"}
    assert (ubuntu["as_expected"], ubuntu["exists"], ubuntu["name"]) == (False, None, None)
    (age,) = ubuntu["expectations"]
    assert age == {"expectation": "max_age", "expected": 1.0, "actual": None, "met": None}


def test_json_has_problems_of_discovery(tmp_path: Path) -> None:
    with SimulatedImageService() as service:
        cloud = {"name": "lab", "endpoint": service.url, "discover": [GOLDEN_ALIAS]}
        status, text = run_check(tmp_path, cloud, output_format="json")
    assert status == 1
    assert json.loads(text) == {
        "as_expected": False,
        "expectations": {"met": 0, "not_met": 0, "not_judged": 0},
        "problems": ["lab: there is no image for the alias golden"],
        "warnings": [],
        "images": [],
    }


@pytest.mark.parametrize("expect", [{"protected": True}, {"protected": False}])
def test_exit_status_with_json_output(
    tmp_path: Path, service: SimulatedImageService, expect: dict[str, bool]
) -> None:
    images = [{"id": GOLDEN, "expect": expect}]
    file = settings_file(tmp_path, {"name": "lab", "endpoint": service.url, "images": images})
    process = run_program(tmp_path, "check", f"--config.file={file}", "--format=json")
    assert (process.returncode, process.stderr) == (0 if expect["protected"] else 1, "")
    assert json.loads(process.stdout)["as_expected"] is expect["protected"]


@pytest.mark.parametrize(
    ("code", "why"), [(403, "forbidden: HTTP 403"), (400, "rejected: HTTP 400; by v2: HTTP 400")]
)
def test_failed_poll_has_its_reason_and_status_1(
    tmp_path: Path, service: SimulatedImageService, code: int, why: str
) -> None:
    service.faults.set("status", on=UBUNTU, code=code)
    cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, UBUNTU]}
    status, table = run_check(tmp_path, cloud)
    assert status == 1
    assert row(table, UBUNTU)[3:] == ["unknown", why]
    assert row(table, GOLDEN)[3] == "active"


def test_hostile_names_are_escaped_and_are_not_markup(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    service.images.change(GOLDEN, name=HOSTILE)
    cloud = {"name": "[red][/nothing]", "endpoint": service.url, "images": [GOLDEN]}
    status, table = run_check(tmp_path, cloud)
    assert status == 0
    shown = row(table, GOLDEN)
    assert shown[0] == "[red][/nothing]"
    assert shown[-1] == "x\\x1b[2J\\u202e\\x85\\x07[red]/[/nothing] :boom: \\"
    assert table.replace("\n", "").isprintable()


def test_output_to_a_pipe_is_not_folded_or_colored(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    name = "a very long name " * 14
    service.images.change(GOLDEN, name=name)
    images = [{"id": GOLDEN, "alias": "the image that every autoscaling group boots from"}]
    file = settings_file(
        tmp_path, {"name": "[/x]", "endpoint": service.url, "images": [*images, ABSENT]}
    )
    process = run_program(tmp_path, "check", f"--config.file={file}", environ={"TERM": "xterm"})
    assert process.returncode == 1
    assert process.stderr == ""
    assert process.stdout.replace("\n", "").isprintable()
    assert len(process.stdout.splitlines()) == 4
    assert name.strip() in process.stdout
    colored = run_program(tmp_path, "check", f"--config.file={file}", environ={"FORCE_COLOR": "1"})
    assert colored.stderr == ""
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored.stdout) == process.stdout


def test_name_outside_the_encoding_of_stdout_is_escaped(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    service.images.change(GOLDEN, name="東京 “x”")
    file = settings_file(tmp_path, {"name": "lab", "endpoint": service.url, "images": [GOLDEN]})
    environ = {"PYTHONIOENCODING": "ascii"}
    process = run_program(
        tmp_path, "check", f"--config.file={file}", environ=environ, is_preloaded=False
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert "\\u6771\\u4eac \\u201cx\\u201d" in process.stdout


def run_on_terminal(folder: Path, *argv: str, columns: int) -> tuple[int, str]:
    """Run the program on a terminal of this width; return the status and the output."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, columns))
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", *argv],
        cwd=folder,
        env=environment(folder, TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        written = b""
        try:
            # The end of a terminal is EIO on Linux.
            while data := os.read(ours, 65536):
                written += data
        except OSError:
            pass
        finally:
            os.close(ours)
        return process.wait(BOUND), written.decode("utf-8")


def test_terminal_shows_progress_and_color(tmp_path: Path, service: SimulatedImageService) -> None:
    service.faults.set("latency", seconds=0.3)
    cloud = {"name": "[/lab]", "endpoint": service.url, "images": [GOLDEN, UBUNTU, ABSENT]}
    file = settings_file(tmp_path, cloud)
    status, written = run_on_terminal(tmp_path, "check", f"--config.file={file}", columns=80)
    assert status == 1
    assert "/3" in written
    assert re.search("\x1b\\[32mactive", written)
    assert "\x1b[31mgone" in written
    table = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert all(text in table for text in (GOLDEN, UBUNTU, ABSENT, "404: deleted"))
    assert "PROTECTED" not in table
    assert all(len(line.strip("\r")) <= 80 for line in table.split("\n")[1:])
    assert written.index("\x1b[?25l") < written.rindex("\x1b[?25h")


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (None, ""),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (2_361_393_152, "2.2 GiB"),
        (2**63 - 1, "8.0 EiB"),
        (2**90, "1073741824.0 EiB"),
    ],
)
def test_format_bytes(size: int | None, words: str) -> None:
    assert format_bytes(size) == words


def test_yes_no() -> None:
    assert [yes_no(value) for value in (True, False, None)] == ["yes", "no", ""]
