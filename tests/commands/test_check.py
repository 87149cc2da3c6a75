"""Tests of exporter.commands.check: one poll of every image, against real services."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from exporter.app import build_application
from exporter.clock import now
from exporter.commands.check import Format, check
from exporter.commands.output import format_bytes, yes_no
from exporter.config import parse, resolved_clouds
from exporter.model.observation import Observation
from exporter.model.status import STATES, image_status
from exporter.model.target import Target
from exporter.simulator import SimulatedImageService
from exporter.web.pages.json_api import image_document
from tests.support.fakes.keystone import KeystoneFault, SimulatedKeystone
from tests.support.program import (
    ABSENT,
    BOUND,
    GOLDEN,
    UBUNTU,
    environment,
    run_program,
    settings_file,
    simulated,
)

API_KEYS = image_document(image_status(Target("a", "b", "c"), Observation(), now())).keys()

HOSTILE = "x\x1b[2J\u202e\x85\x07[red]/[/nothing] :boom: \\"


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """A service with two images."""
    images = [simulated(GOLDEN, protected=True, size=2_361_393_152), simulated(UBUNTU, "Ubuntu")]
    with SimulatedImageService(images) as running:
        yield running


def checked(
    folder: Path, *clouds: dict[str, Any], output_format: Format = "table"
) -> tuple[int, str]:
    """The status and the table, or the JSON, for these clouds."""
    file = settings_file(folder, *clouds)
    parts = build_application(resolved_clouds(parse([f"--config.file={file}"], {}).settings))
    out, err = io.StringIO(), io.StringIO()
    try:
        status = check(parts, Console(file=out, width=1000), Console(file=err), output_format)
    finally:
        parts.close()
    assert err.getvalue() == ""
    return status, out.getvalue()


def row(table: str, image_id: str) -> list[str]:
    """The cells of an image's row, without those that are empty."""
    line = next(line for line in table.split("\n") if image_id in line)
    return re.split(r"  +", line.strip())


def test_all_as_expected(tmp_path: Path, service: SimulatedImageService) -> None:
    """A row for every image, and status 0."""
    images = [{"id": GOLDEN, "alias": "golden", "expect": {"protected": True}}, UBUNTU]
    status, table = checked(tmp_path, {"name": "lab", "endpoint": service.url, "images": images})
    assert status == 0
    assert row(table, "CLOUD") == [
        "CLOUD", "IMAGE", "ID", "STATE", "SIZE", "PROTECTED", "PUBLIC", "NAME", "WHY",
    ]  # fmt: skip
    assert row(table, GOLDEN) == [
        "lab", "golden", GOLDEN, "active", "2.2 GiB", "yes", "no", "cirros",
    ]  # fmt: skip
    assert row(table, UBUNTU) == [
        "lab", "-", UBUNTU, "active", "16 B", "no", "no", "Ubuntu",
    ]  # fmt: skip
    assert table.endswith("images: 2, not as expected: 0\n")


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ([ABSENT], "404: deleted, never there, or not visible to these credentials"),
        ([{"id": UBUNTU, "expect": {"protected": True}}], "does not match: protected"),
        ([{"id": UBUNTU, "expect": {"exists": False}}], "does not match: exists"),
        ([{"id": UBUNTU, "expect": {"hidden": False}}], "cannot be verified: hidden"),
        (
            [{"id": ABSENT, "expect": {"exists": True, "name": "x"}}],
            "404: deleted, never there, or not visible to these credentials",
        ),
        (
            [{"id": UBUNTU, "expect": {"status": "queued", "public": True, "protected": False}}],
            "does not match: status, public",
        ),
    ],
    ids=[
        "gone",
        "unprotected",
        "there",
        "not told",
        "gone against what is expected",
        "two expectations",
    ],
)
def test_what_is_not_as_expected(
    tmp_path: Path, service: SimulatedImageService, images: list[Any], why: str
) -> None:
    """One image that is gone or not as expected is status 1, and its row says why."""
    cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, *images]}
    status, table = checked(tmp_path, cloud)
    assert status == 1
    assert f"  {why}" in table
    assert table.endswith("images: 2, not as expected: 1\n")


EXPECTING = [
    {
        "id": GOLDEN,
        "alias": "golden",
        "expect": {
            "status": ["active", "deactivated"],
            "protected": False,
            "hidden": False,
            "size": "1GiB..4GiB",
            "properties": {"os_distro": "ubuntu"},
        },
    },
    {"id": ABSENT, "expect": {"exists": False}},
]


def test_what_was_expected_is_held_against_what_is(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    """A row for each expectation, those that are not met last; and a line that sums it up."""
    cloud = {"name": "lab", "endpoint": service.url, "images": EXPECTING}
    status, table = checked(tmp_path, cloud)
    assert status == 1
    _, _, second = table.partition("\n\n")
    lines = [re.split(r"  +", line.strip()) for line in second.split("\n")]
    assert lines[:7] == [
        ["CLOUD", "IMAGE", "EXPECTATION", "EXPECTED", "ACTUAL", "RESULT"],
        ["lab", "golden", "status", "active or deactivated", "active", "met"],
        ["lab", "golden", "size", "1GiB..4GiB", "2252MiB", "met"],
        ["lab", ABSENT, "exists", "false", "false", "met"],
        ["lab", "golden", "hidden", "false", "cannot be verified"],
        ["lab", "golden", "protected", "false", "true", "not met"],
        ["lab", "golden", "properties", "os_distro: ubuntu", "os_distro: none", "not met"],
    ]
    assert second.endswith("\nimages: 2, not as expected: 1\n")


def test_an_image_that_is_to_be_gone_is_as_expected(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    """It is status 0, and nothing is said against it."""
    cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, EXPECTING[1]]}
    status, table = checked(tmp_path, cloud)
    assert status == 0
    assert row(table, ABSENT) == ["lab", "-", ABSENT, "gone"]


def test_of_a_deleted_image_that_is_still_seen_only_its_existence_counts(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    """An administrator is shown its status; what else was expected is nobody's business now."""
    service.api.admin = True
    service.images.delete(GOLDEN)
    image = {"id": GOLDEN, "expect": {"exists": True, "protected": True}}
    cloud = {"name": "lab", "api": "v1", "endpoint": service.url, "images": [image]}
    status, table = checked(tmp_path, cloud)
    assert status == 1
    assert row(table, GOLDEN)[3] == "deleted"
    assert "does not match: exists\n" in table
    assert table.count("protected") == 0


def test_a_deleted_image_that_is_still_seen_is_not_as_expected(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    """Also where nothing is said of it: it is told why."""
    service.api.admin = True
    service.images.delete(GOLDEN)
    cloud = {"name": "lab", "api": "v1", "endpoint": service.url, "images": [GOLDEN]}
    status, table = checked(tmp_path, cloud)
    assert status == 1
    assert row(table, GOLDEN)[3:] == ["deleted", "deleted; only administrators still see it"]


@pytest.mark.parametrize(
    ("status", "expect", "color"),
    [
        ("deactivated", {"status": "deactivated"}, "\x1b[32m"),
        ("deactivated", {}, "\x1b[31m"),
        ("deleted", {}, "\x1b[31m"),
        ("deleted", {"exists": False}, "\x1b[32m"),
    ],
)
def test_a_state_is_green_where_it_is_expected(
    tmp_path: Path, service: SimulatedImageService, status: str, expect: dict[str, Any], color: str
) -> None:
    """Whatever it is, and red where it is not."""
    service.api.admin = True
    service.images.change(GOLDEN, status=status, deleted=status == "deleted")
    image = {"id": GOLDEN, "expect": expect}
    cloud = {"name": "lab", "api": "v1", "endpoint": service.url, "images": [image]}
    out = io.StringIO()
    colored = Console(file=out, width=1000, force_terminal=True, color_system="standard")
    plans = resolved_clouds(parse([f"--config.file={settings_file(tmp_path, cloud)}"], {}).settings)
    with closing(build_application(plans)) as parts:
        check(parts, colored, Console(file=io.StringIO()))
    assert f"{color}{status}" in out.getvalue()


KEYS_OF_CHECK = (
    "cloud", "image", "image_id", "source", "as_expected", "exists", "state", "name", "failure",
)  # fmt: skip
"""Keys of an image that scripts have relied on since the first version."""


def test_json_has_every_image_in_the_form_of_the_api(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, ABSENT]}
    _, text = checked(tmp_path, cloud, output_format="json")
    for image in json.loads(text)["images"]:
        assert image.keys() - {"as_expected", "failure"} == API_KEYS
        assert image["state"] in STATES
        assert image["last_poll"]["success"]


def test_the_same_as_json(tmp_path: Path, service: SimulatedImageService) -> None:
    """One document on standard output, whatever is wrong: bytes, seconds, lists, null."""
    service.images.change(GOLDEN, name=HOSTILE)
    images = [*EXPECTING, {"id": UBUNTU, "expect": {"max_age": "1s"}}]
    cloud = {"name": "lab", "endpoint": service.url, "images": images}
    service.faults.set("status", on=UBUNTU, code=403)
    status, text = checked(tmp_path, cloud, output_format="json")
    assert status == 1
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    found = json.loads(text)
    assert (found["as_expected"], found["problems"]) == (False, [])
    assert found["expectations"] == {"met": 3, "not_met": 2, "not_judged": 2}
    golden, absent, ubuntu = found["images"]
    verdicts = {each.pop("expectation"): each for each in golden.pop("expectations")}
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
    assert verdicts == {
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


def test_problems_of_discovery_are_in_the_json_too(tmp_path: Path) -> None:
    """There is no image that could say so."""
    with SimulatedImageService() as service:
        cloud = {"name": "lab", "endpoint": service.url, "discover": [GOLDEN_ALIAS]}
        status, text = checked(tmp_path, cloud, output_format="json")
    assert status == 1
    assert json.loads(text) == {
        "as_expected": False,
        "expectations": {"met": 0, "not_met": 0, "not_judged": 0},
        "problems": ["lab: there is no image for the alias golden"],
        "images": [],
    }


@pytest.mark.parametrize("expect", [{"protected": True}, {"protected": False}])
def test_the_status_tells_a_pipeline(
    tmp_path: Path, service: SimulatedImageService, expect: dict[str, bool]
) -> None:
    """0 when all is as expected and 1 when not; standard output is JSON alone."""
    images = [{"id": GOLDEN, "expect": expect}]
    file = settings_file(tmp_path, {"name": "lab", "endpoint": service.url, "images": images})
    ran = run_program(tmp_path, "check", f"--config.file={file}", "--format=json")
    assert (ran.returncode, ran.stderr) == (0 if expect["protected"] else 1, "")
    assert json.loads(ran.stdout)["as_expected"] is expect["protected"]


@pytest.mark.parametrize(
    ("code", "why"), [(403, "forbidden: HTTP 403"), (400, "rejected: HTTP 400")]
)
def test_a_poll_that_failed(
    tmp_path: Path, service: SimulatedImageService, code: int, why: str
) -> None:
    """It is status 1, with the reason in its row, and others are shown all the same."""
    service.faults.set("status", on=UBUNTU, code=code)
    cloud = {"name": "lab", "endpoint": service.url, "images": [GOLDEN, UBUNTU]}
    status, table = checked(tmp_path, cloud)
    assert status == 1
    assert row(table, UBUNTU)[3:] == ["unknown", why]
    assert row(table, GOLDEN)[3] == "active"


def test_a_cloud_that_does_not_answer(tmp_path: Path, service: SimulatedImageService) -> None:
    """Its images have failed, and those of another cloud are shown all the same."""
    clouds = [
        {"name": "lab", "endpoint": service.url, "images": [GOLDEN]},
        {"name": "down", "endpoint": "http://127.0.0.1:1", "images": [UBUNTU], "interval": "2s",
         "timeout": "1s"},
    ]  # fmt: skip
    status, table = checked(tmp_path, *clouds)
    assert status == 1
    assert row(table, GOLDEN)[3] == "active"
    assert row(table, UBUNTU)[4].startswith("connection: ")


def test_hostile_names_do_no_harm(tmp_path: Path, service: SimulatedImageService) -> None:
    """Of an image's name or a cloud's, nothing moves the cursor and nothing is markup."""
    service.images.change(GOLDEN, name=HOSTILE)
    cloud = {"name": "[red][/nothing]", "endpoint": service.url, "images": [GOLDEN]}
    status, table = checked(tmp_path, cloud)
    assert status == 0
    shown = row(table, GOLDEN)
    assert shown[0] == "[red][/nothing]"
    assert shown[-1] == "x\\x1b[2J\\u202e\\x85\\x07[red]/[/nothing] :boom: \\"
    assert table.replace("\n", "").isprintable()


def test_a_pipe_gets_whole_lines_and_no_progress(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    """Without a terminal nothing is cut, folded, coloured or drawn, whatever the variables say."""
    name = "a very long name " * 14
    service.images.change(GOLDEN, name=name)
    images = [{"id": GOLDEN, "alias": "the image that every autoscaling group boots from"}]
    file = settings_file(
        tmp_path, {"name": "[/x]", "endpoint": service.url, "images": [*images, ABSENT]}
    )
    ran = run_program(tmp_path, "check", f"--config.file={file}", environ={"TERM": "xterm"})
    assert ran.returncode == 1
    assert ran.stderr == ""
    assert ran.stdout.replace("\n", "").isprintable()
    assert len(ran.stdout.splitlines()) == 4
    assert name.strip() in ran.stdout
    coloured = run_program(tmp_path, "check", f"--config.file={file}", environ={"FORCE_COLOR": "1"})
    assert coloured.stderr == ""
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured.stdout) == ran.stdout


def test_a_name_that_the_encoding_does_not_have(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    """It is escaped where standard output takes only ASCII."""
    service.images.change(GOLDEN, name="東京 “x”")
    file = settings_file(tmp_path, {"name": "lab", "endpoint": service.url, "images": [GOLDEN]})
    ran = run_program(
        tmp_path, "check", f"--config.file={file}", environ={"PYTHONIOENCODING": "ascii"}
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "\\u6771\\u4eac \\u201cx\\u201d" in ran.stdout


def on_a_terminal(folder: Path, *argv: str, columns: int) -> tuple[int, str]:
    """The status, and all that is written on a terminal of this width."""
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


def test_a_terminal_gets_progress_and_colour(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    """A person sees how far it is, then a table in which an ID can be copied as a whole."""
    service.faults.set("latency", seconds=0.3)
    cloud = {"name": "[/lab]", "endpoint": service.url, "images": [GOLDEN, UBUNTU, ABSENT]}
    file = settings_file(tmp_path, cloud)
    status, written = on_a_terminal(tmp_path, "check", f"--config.file={file}", columns=80)
    assert status == 1
    assert "/3" in written
    assert re.search("\x1b\\[32mactive", written)
    assert "\x1b[31mgone" in written
    table = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert all(each in table for each in (GOLDEN, UBUNTU, ABSENT, "404: deleted"))
    assert "PROTECTED" not in table
    assert all(len(line.strip("\r")) <= 80 for line in table.split("\n")[1:])
    assert written.index("\x1b[?25l") < written.rindex("\x1b[?25h")


def test_a_cloud_by_keystone(tmp_path: Path, service: SimulatedImageService) -> None:
    """Signed in by clouds.yaml it is as any other, and a refused password is a reason."""
    auth = {
        "username": "demo",
        "password": "s3cret-and-long",
        "user_domain_name": "Default",
        "project_name": "demo",
        "project_domain_name": "Default",
    }
    with SimulatedKeystone() as keystone:
        keystone.users = {"demo": "s3cret-and-long"}
        keystone.offer_image(service.url)
        auth["auth_url"] = keystone.auth_url
        (tmp_path / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"lab": {"auth": auth}}}))
        file = settings_file(
            tmp_path, {"name": "cloud", "cloud": "lab", "images": [GOLDEN]}, interval="3s",
            timeout="3s",
        )  # fmt: skip
        ran = run_program(tmp_path, "check", f"--config.file={file}")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert row(ran.stdout, GOLDEN)[3] == "active"
        assert keystone.token_requests == 1

        keystone.fault = KeystoneFault(status=401, message="no")
        ran = run_program(tmp_path, "check", f"--config.file={file}")
        assert ran.returncode == 1
        assert row(ran.stdout, GOLDEN)[4].startswith("unauthorized: sign-in: Keystone at ")
        assert "s3cret" not in ran.stdout + ran.stderr


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
def test_sizes_in_words(size: int | None, words: str) -> None:
    """The largest unit that fits, to one digit."""
    assert format_bytes(size) == words


def test_flags_in_words() -> None:
    """What is not known is not said."""
    assert [yes_no(value) for value in (True, False, None)] == ["yes", "no", ""]


GOLDEN_ALIAS = {"name": "cir*", "most_recent": True, "alias": "golden"}


def test_discovered_images_are_checked_too(tmp_path: Path, service: SimulatedImageService) -> None:
    """They are listed first, and then polled with the others."""
    cloud = {
        "name": "lab",
        "endpoint": service.url,
        "images": [UBUNTU],
        "discover": [GOLDEN_ALIAS],
    }
    status, table = checked(tmp_path, cloud)
    assert status == 0
    assert row(table, GOLDEN)[:4] == ["lab", "golden", GOLDEN, "active"]
    assert table.endswith("images: 2, not as expected: 0\n")


def test_a_discovery_that_fails_is_not_as_expected(tmp_path: Path) -> None:
    """Nothing is known of the images that it would have found."""
    with SimulatedImageService() as service:
        service.faults.set("status", code=403)
        cloud = {"name": "lab", "endpoint": service.url, "discover": [GOLDEN_ALIAS]}
        status, table = checked(tmp_path, cloud)
    assert status == 1
    assert table.endswith(
        "images: 0, not as expected: 0\nlab: discovery failed: forbidden: HTTP 403\n"
    )


def test_an_alias_without_an_image_is_not_as_expected(tmp_path: Path) -> None:
    """Somebody counts on there being one."""
    with SimulatedImageService([simulated(UBUNTU, "Ubuntu")]) as service:
        cloud = {"name": "lab", "endpoint": service.url, "discover": [GOLDEN_ALIAS]}
        status, table = checked(tmp_path, cloud)
    assert status == 1
    assert table.endswith("lab: there is no image for the alias golden\n")
