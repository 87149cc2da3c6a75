"""The command line: help, mistakes in one line, statuses, and what an import costs."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from exporter import __version__
from exporter.simulator import SimulatedImageService
from tests.support.program import (
    ABSENT,
    BOUND,
    GOLDEN,
    ROOT,
    STOP_TIMEOUT,
    environment,
    run_program,
    settings_file,
    simulated,
    start_program,
)
from tests.support.wait import wait_until

MIB = 1024
"""KiB in one."""
ENDPOINT = "http://127.0.0.1:9"
CLOUD = {"name": "lab", "endpoint": ENDPOINT, "images": [GOLDEN]}
AUTH = (
    "{auth_url: 'https://127.0.0.1:9/v3', username: u, password: hunter2-and-more, "
    "project_name: p, user_domain_name: Default, project_domain_name: Default}"
)


def refusal(folder: Path, *argv: str, **environ: str) -> str:
    """The one line with which the program ends at once with status 2."""
    ran = run_program(folder, *argv, environ=environ)
    assert ran.returncode == 2, ran.stderr
    assert ran.stdout == ""
    line = ran.stderr.removesuffix("\n")
    assert line.isprintable(), ran.stderr
    return line


def with_settings(
    folder: Path, *argv: str, environ: dict[str, str] | None = None, **cloud: Any
) -> str:
    """The same, with one cloud in the settings."""
    changed = {key: value for key, value in {**CLOUD, **cloud}.items() if value is not None}
    file = settings_file(folder, changed)
    loopback = "--web.listen-address=127.0.0.1:0"
    return refusal(folder, f"--config.file={file}", loopback, *argv, **(environ or {}))


def test_help_and_version(tmp_path: Path) -> None:
    """Both are printed with status 0 and nothing else."""
    helped = run_program(tmp_path, "--help")
    assert helped.returncode == 0
    assert helped.stderr == ""
    for word in ("run", "check", "show IMAGE_ID", "demo", "--config.file", "--web.listen-address"):
        assert word in helped.stdout
    told = run_program(tmp_path, "--version")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == f"openstack-image-exporter {__version__}\n"


def test_the_console_script_is_the_same_program(tmp_path: Path) -> None:
    """What pip makes of the entry point says the same as ``python -m exporter``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, function = project["scripts"]["openstack-image-exporter"].partition(":")
    script = f"import sys; from {module} import {function}; sys.exit({function}())"
    for argv in (["--version"], ["nonsense"]):
        ran = subprocess.run(
            [sys.executable, "-c", script, *argv],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=BOUND,
            check=False,
        )
        same = run_program(tmp_path, *argv)
        assert (ran.returncode, ran.stdout, ran.stderr) == (
            same.returncode,
            same.stdout,
            same.stderr,
        )


def test_every_mistake_in_the_settings_is_a_line(tmp_path: Path) -> None:
    """A file with three mistakes gives three lines, whatever characters are in them."""
    (tmp_path / "bad.yml").write_text(
        'interval: soon\nnonsense: 1\nclouds: [{name: "a\\e[2J", images: [b]}]\n'
    )
    ran = run_program(tmp_path, "--config.file=bad.yml")
    assert ran.returncode == 2
    lines = ran.stderr.removesuffix("\n").split("\n")
    assert len(lines) == 3
    assert all(line.startswith("bad.yml: ") and line.isprintable() for line in lines)


def test_a_file_that_is_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    """The file is named, with the reason."""
    (tmp_path / "folder").mkdir()
    assert refusal(tmp_path, "--config.file=no.yml").startswith("no.yml: ")
    assert refusal(tmp_path, "check", "--config.file=folder").startswith("folder: ")


@pytest.mark.parametrize("command", ["run", "demo"])
def test_a_port_in_use(tmp_path: Path, command: str) -> None:
    """The address is named, before anything is polled."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = with_settings(tmp_path, command, f"--web.listen-address={address}")
        assert line == f"cannot listen on {address}: the port is in use"


@pytest.mark.parametrize("command", ["run", "demo"])
@pytest.mark.parametrize("address", ["nonsense", "a..b:80"])
def test_a_bad_listen_address(tmp_path: Path, command: str, address: str) -> None:
    """It is shown, with what is wrong about it."""
    line = with_settings(tmp_path, command, f"--web.listen-address={address}")
    assert re.match(rf"(cannot listen on|listen address) '?{re.escape(address)}", line)


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_ca_bundle_of_the_environment_that_is_missing(tmp_path: Path, command: str) -> None:
    """It is named with the variables that may name it."""
    environ = {"REQUESTS_CA_BUNDLE": "/nowhere/ca.pem"}
    line = with_settings(tmp_path, command, environ=environ, endpoint="https://127.0.0.1:9")
    assert "/nowhere/ca.pem" in line
    assert "REQUESTS_CA_BUNDLE" in line
    assert os.strerror(errno.ENOENT) in line


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("other: {}", "no such cloud; the file has 'other'"),
        (f"lab: {{auth: {AUTH}, cacert: /nowhere/ca.pem}}", "/nowhere/ca.pem"),
        (f"lab: {{auth: {AUTH}, cacert: ./clouds.yaml}}", "clouds.yaml"),
        ("lab: [", "not valid YAML"),
    ],
    ids=["unknown cloud", "missing CA bundle", "CA bundle that is none", "broken file"],
)
def test_a_clouds_yaml_that_cannot_be_used(tmp_path: Path, entry: str, said: str) -> None:
    """The cloud and what is wrong with it are named; passwords are not."""
    (tmp_path / "clouds.yaml").write_text(f"clouds: {{{entry}}}\n")
    line = with_settings(tmp_path, endpoint=None, cloud="lab")
    assert said in line
    assert "lab" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("name", ["missing", "folder", "empty"])
def test_a_token_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    """The file is named, with the reason."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    line = with_settings(tmp_path, token_file=name)
    assert line.startswith("cloud 'lab': ")
    assert str(tmp_path / name) in line


def test_ctrl_c_ends_a_check_without_a_verdict(tmp_path: Path) -> None:
    """Who interrupts it is not told that all is as expected, nor shown a traceback."""
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        service.faults.set("hang")
        file = settings_file(tmp_path, {**CLOUD, "endpoint": service.url})
        with start_program(tmp_path, "check", f"--config.file={file}") as program:
            wait_until(lambda: service.log.in_flight == 1)
            program.process.send_signal(signal.SIGINT)
            assert program.process.wait(STOP_TIMEOUT) == 130
            assert (program.stdout, program.log_lines) == ("", [""])


def test_show_asks_for_what_is_named(tmp_path: Path) -> None:
    """An ID or alias is asked of the clouds that have it, any other ID of all."""
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        clouds: list[dict[str, Any]] = [
            {"name": "one", "endpoint": service.url, "images": [{"id": GOLDEN, "alias": "golden"}]},
            {"name": "two", "endpoint": service.url, "images": [ABSENT]},
        ]
        file = settings_file(tmp_path, *clouds)
        asked = {}
        for name in (GOLDEN, "golden", ABSENT, "unheard-of"):
            ran = run_program(tmp_path, "show", name, f"--config.file={file}")
            assert ran.stderr == ""
            asked[name] = (ran.returncode, re.findall(r"^cloud +(\S+)", ran.stdout, re.MULTILINE))
        assert asked == {
            GOLDEN: (0, ["one"]),
            "golden": (0, ["one"]),
            ABSENT: (1, ["two"]),
            "unheard-of": (1, ["one", "two"]),
        }


def test_an_alias_may_stand_for_several_images(tmp_path: Path) -> None:
    """All images of that name are shown, and the cloud is asked once for each."""
    with SimulatedImageService([simulated(GOLDEN), simulated(ABSENT)]) as service:
        images = [{"id": each, "alias": "golden"} for each in (GOLDEN, ABSENT)]
        file = settings_file(tmp_path, {**CLOUD, "endpoint": service.url, "images": images})
        ran = run_program(tmp_path, "show", "golden", f"--config.file={file}")
        assert ran.returncode == 0
        assert re.findall(r"^image_id +(\S+)", ran.stdout, re.MULTILINE) == [GOLDEN, ABSENT]
        assert service.log.count(method="HEAD") == 2


@pytest.mark.parametrize(
    ("argv", "environ", "are_logged"),
    [
        ([], {}, False),
        (["--log.level=info"], {}, True),
        ([], {"IMAGE_EXPORTER_LOG__LEVEL": "info"}, True),
    ],
)
def test_check_logs_what_it_is_asked_to(
    tmp_path: Path, argv: list[str], environ: dict[str, str], are_logged: bool
) -> None:
    """Its table says what a log would, so it logs no news unless a level is given."""
    with SimulatedImageService() as service:
        file = settings_file(tmp_path, {**CLOUD, "endpoint": service.url})
        ran = run_program(tmp_path, "check", f"--config.file={file}", *argv, environ=environ)
        assert ran.returncode == 1
        assert ("first cycle finished" in ran.stderr) is are_logged
        assert (ran.stderr != "") is are_logged


def test_importing_it_is_cheap(tmp_path: Path) -> None:
    """A fresh process that has imported the program has never used more than 70 MiB."""
    script = (
        "import time; begun = time.perf_counter(); import exporter.cli\n"
        "took = time.perf_counter() - begun\n"
        "peak = next(l for l in open('/proc/self/status') if l.startswith('VmHWM:'))\n"
        "print(took, peak.split()[1])\n"
    )
    # Measured without the measuring of coverage.
    environ = {
        name: value for name, value in environment(tmp_path).items() if not name.startswith("COV")
    }
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=environ,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=True,
    )
    seconds, kibibytes = map(float, ran.stdout.split())
    print(f"import: {seconds:.2f} s, {kibibytes / MIB:.0f} MiB")  # noqa: T201  # a measurement
    assert kibibytes <= 70 * MIB
