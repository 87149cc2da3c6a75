"""Command line: help, errors, exit statuses, and the cost of an import."""

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
    REQUEST_TIMEOUT,
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


def error_line(folder: Path, *argv: str, **environ: str) -> str:
    """Return the only line of a program that ends at once with status 2."""
    process = run_program(folder, *argv, environ=environ)
    assert process.returncode == 2, process.stderr
    assert process.stdout == ""
    line = process.stderr.removesuffix("\n")
    assert line.isprintable(), process.stderr
    return line


def with_settings(
    folder: Path, *argv: str, environ: dict[str, str] | None = None, **cloud: Any
) -> str:
    """Return the same for settings with one cloud."""
    changed = {key: value for key, value in {**CLOUD, **cloud}.items() if value is not None}
    file = settings_file(folder, changed)
    loopback = "--web.listen-address=127.0.0.1:0"
    return error_line(folder, f"--config.file={file}", loopback, *argv, **(environ or {}))


def test_help_and_version(tmp_path: Path) -> None:
    helped = run_program(tmp_path, "--help")
    assert helped.returncode == 0
    assert helped.stderr == ""
    for word in ("run", "check", "show IMAGE_ID", "demo", "--config.file", "--web.listen-address"):
        assert word in helped.stdout
    version = run_program(tmp_path, "--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout == f"openstack-image-exporter {__version__}\n"


def test_console_script_is_the_same_program(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, function = project["scripts"]["openstack-image-exporter"].partition(":")
    script = f"import sys; from {module} import {function}; sys.exit({function}())"
    process = subprocess.run(
        [sys.executable, "-c", script, "nonsense"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    same = run_program(tmp_path, "nonsense", is_preloaded=False)
    assert (process.returncode, process.stdout, process.stderr) == (
        same.returncode,
        same.stdout,
        same.stderr,
    )


def test_every_error_in_the_settings_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text(
        'interval: soon\nnonsense: 1\nclouds: [{name: "a\\e[2J", images: [b]}]\n'
    )
    process = run_program(tmp_path, "--config.file=bad.yml")
    assert process.returncode == 2
    lines = process.stderr.removesuffix("\n").split("\n")
    assert len(lines) == 3
    assert all(line.startswith("bad.yml: ") and line.isprintable() for line in lines)


def test_missing_or_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert error_line(tmp_path, "--config.file=no.yml").startswith("no.yml: ")
    assert error_line(tmp_path, "check", "--config.file=folder").startswith("folder: ")


@pytest.mark.parametrize("command", ["run", "demo"])
def test_port_in_use(tmp_path: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = with_settings(tmp_path, command, f"--web.listen-address={address}")
        assert line == f"cannot listen on {address}: the port is in use"


@pytest.mark.parametrize("command", ["run", "demo"])
@pytest.mark.parametrize("address", ["nonsense", "a..b:80"])
def test_invalid_listen_address(tmp_path: Path, command: str, address: str) -> None:
    line = with_settings(tmp_path, command, f"--web.listen-address={address}")
    assert re.match(rf"(cannot listen on|listen address) '?{re.escape(address)}", line)


@pytest.mark.parametrize("command", ["run", "check"])
def test_missing_ca_bundle_of_the_environment(tmp_path: Path, command: str) -> None:
    environ = {"REQUESTS_CA_BUNDLE": "/nowhere/ca.pem"}
    line = with_settings(tmp_path, command, environ=environ, endpoint="https://127.0.0.1:9")
    assert "/nowhere/ca.pem" in line
    assert "REQUESTS_CA_BUNDLE" in line
    assert os.strerror(errno.ENOENT) in line


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("other: {}", "no such cloud; the file has 'other'"),
        (f"lab: {{auth: {AUTH}, cacert: /nowhere/ca.pem}}", "/nowhere/ca.pem"),
        (f"lab: {{auth: {AUTH}, cacert: ./clouds.yaml}}", "clouds.yaml"),
        ("lab: [", "not valid YAML"),
    ],
    ids=["unknown cloud", "missing CA bundle", "CA bundle that is none", "broken file"],
)
def test_unusable_clouds_yaml(tmp_path: Path, entry: str, problem: str) -> None:
    (tmp_path / "clouds.yaml").write_text(f"clouds: {{{entry}}}\n")
    line = with_settings(tmp_path, endpoint=None, cloud="lab")
    assert problem in line
    assert "lab" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("name", ["missing", "folder", "empty"])
def test_unreadable_token_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    line = with_settings(tmp_path, token_file=name)
    assert line.startswith("cloud 'lab': ")
    assert str(tmp_path / name) in line


def test_interrupted_check_has_status_130(tmp_path: Path) -> None:
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        service.faults.set("hang")
        settings = {**CLOUD, "endpoint": service.url, "timeout": REQUEST_TIMEOUT}
        file = settings_file(tmp_path, settings)
        argv = ("check", f"--config.file={file}")
        with start_program(tmp_path, *argv, is_preloaded=False) as program:
            wait_until(lambda: service.log.in_flight == 1)
            program.process.send_signal(signal.SIGINT)
            assert program.process.wait(STOP_TIMEOUT) == 130
            assert (program.stdout, program.log_lines) == ("", [""])


def test_show_polls_the_named_image_only(tmp_path: Path) -> None:
    with SimulatedImageService([simulated(GOLDEN)]) as service:
        clouds: list[dict[str, Any]] = [
            {"name": "one", "endpoint": service.url, "images": [{"id": GOLDEN, "alias": "golden"}]},
            {"name": "two", "endpoint": service.url, "images": [ABSENT]},
        ]
        file = settings_file(tmp_path, *clouds)
        clouds_by_name = {}
        for name in (GOLDEN, "golden", ABSENT, "unheard-of"):
            process = run_program(tmp_path, "show", name, f"--config.file={file}")
            assert process.stderr == ""
            clouds_by_name[name] = (
                process.returncode,
                re.findall(r"^cloud +(\S+)", process.stdout, re.MULTILINE),
            )
        assert clouds_by_name == {
            GOLDEN: (0, ["one"]),
            "golden": (0, ["one"]),
            ABSENT: (1, ["two"]),
            "unheard-of": (1, ["one", "two"]),
        }


def test_show_polls_every_image_of_an_alias(tmp_path: Path) -> None:
    with SimulatedImageService([simulated(GOLDEN), simulated(ABSENT)]) as service:
        images = [{"id": image_id, "alias": "golden"} for image_id in (GOLDEN, ABSENT)]
        file = settings_file(tmp_path, {**CLOUD, "endpoint": service.url, "images": images})
        process = run_program(tmp_path, "show", "golden", f"--config.file={file}")
        assert process.returncode == 0
        assert re.findall(r"^image_id +(\S+)", process.stdout, re.MULTILINE) == [GOLDEN, ABSENT]
        assert service.log.count(method="HEAD") == 2


@pytest.mark.parametrize(
    ("argv", "environ", "are_logged"),
    [
        ([], {}, False),
        (["--log.level=info"], {}, True),
        ([], {"IMAGE_EXPORTER_LOG__LEVEL": "info"}, True),
    ],
)
def test_check_logs_errors_only_by_default(
    tmp_path: Path, argv: list[str], environ: dict[str, str], are_logged: bool
) -> None:
    """The table has the same information."""
    with SimulatedImageService() as service:
        file = settings_file(tmp_path, {**CLOUD, "endpoint": service.url})
        process = run_program(tmp_path, "check", f"--config.file={file}", *argv, environ=environ)
        assert process.returncode == 1
        assert ("first cycle finished" in process.stderr) is are_logged
        assert (process.stderr != "") is are_logged


def test_import_needs_little_memory(tmp_path: Path) -> None:
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
    process = subprocess.run(
        [sys.executable, "-c", script],
        env=environ,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=True,
    )
    seconds, kibibytes = map(float, process.stdout.split())
    print(f"import: {seconds:.2f} s, {kibibytes / MIB:.0f} MiB")  # noqa: T201  # a measurement
    assert kibibytes <= 70 * MIB
