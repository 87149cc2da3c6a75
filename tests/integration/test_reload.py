"""Reloads of the daemon's configuration: by signal, by request, and by a changed file."""

import contextlib
import http.client
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.simulator import SimulatedImageService
from tests.reloading import cloud
from tests.support.program import (
    BOUND,
    GOLDEN,
    UBUNTU,
    Program,
    daemon,
    settings_file,
    simulated,
    start_program,
)
from tests.support.wait import wait_until

SUCCESSFUL = "openstack_image_exporter_config_last_reload_successful"
TARGETS = "openstack_image_exporter_targets"
LOOPBACK = "--web.listen-address=127.0.0.1:0"


def test_sigusr1_writes_the_stacks_of_all_threads(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    with daemon(tmp_path, cloud(service.url, GOLDEN)) as program:
        program.wait_for_metric(TARGETS, 1)
        program.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: program.lines("Current thread"))
        wait_until(lambda: program.lines("in serve") and program.lines("in _serve_once"))
        assert program.process.poll() is None


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    with SimulatedImageService([simulated(GOLDEN), simulated(UBUNTU)]) as running:
        yield running


def post(program: Program) -> tuple[int, str]:
    """Request a reload, and return the status and the body of the response."""
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=BOUND)
    try:
        connection.request("POST", "/-/reload")
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_sighup_reloads_the_configuration(tmp_path: Path, service: SimulatedImageService) -> None:
    """An invalid configuration is logged with the same message as at the start, and not used."""
    with daemon(tmp_path, cloud(service.url, GOLDEN)) as program:
        program.wait_for_metric(TARGETS, 1)
        settings_file(tmp_path, cloud(service.url, GOLDEN, UBUNTU), log={"level": "debug"})
        program.process.send_signal(signal.SIGHUP)
        program.wait_for_metric("openstack_image_exists", 1, image=UBUNTU)
        assert "trigger=SIGHUP" in program.line('msg="configuration reloaded"')
        status, config = program.page("/config")
        assert status == 200
        assert f'- "{UBUNTU}"' in config

        settings_file(tmp_path, cloud(service.url), interval="soon")
        program.process.send_signal(signal.SIGHUP)
        program.wait_for_metric(SUCCESSFUL, 0)
        file = tmp_path / "exporter.yml"
        problem = f"{file}: interval: 'soon' is not a duration; accepted: 30s, 1m30s, 15m, 90d"
        assert program.lines("configuration reload failed", problem)
        program.wait_for_metric(TARGETS, 2)
        assert post(program)[0] == 403

        settings_file(tmp_path, cloud(service.url, UBUNTU))
        for _ in range(20):
            program.process.send_signal(signal.SIGHUP)
        program.wait_for_metric(SUCCESSFUL, 1)
        program.wait_for_metric(TARGETS, 1)
        program.stop(signal.SIGHUP, signal.SIGTERM)


def test_response_to_a_reload_request_has_the_error(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    file = settings_file(tmp_path, cloud(service.url, GOLDEN))
    argv = [f"--config.file={file}", LOOPBACK, "--web.enable-lifecycle"]
    with start_program(tmp_path, *argv) as program:
        program.wait_for_metric(TARGETS, 1)
        settings_file(tmp_path, cloud(service.url, GOLDEN, UBUNTU))
        assert post(program) == (200, "")
        assert program.metrics().value(TARGETS) == 2
        settings_file(tmp_path, cloud(service.url, GOLDEN, token_file="token"))
        message = f"cloud 'lab': token file {tmp_path / 'token'} cannot be read"
        assert post(program) == (400, f"{message}: No such file or directory\n")
        assert program.metrics().value(SUCCESSFUL) == 0
        assert program.metrics().value(TARGETS) == 2
        program.stop()


def test_new_web_configuration_file_is_watched_after_a_reload(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    for name in ("one", "two"):
        write_web_file(tmp_path / name, name)

    def configure(name: str) -> Path:
        web = {"config": {"file": str(tmp_path / name)}, "enable_lifecycle": True}
        return settings_file(tmp_path, cloud(service.url, GOLDEN), web=web)

    with start_program(tmp_path, f"--config.file={configure('one')}", LOOPBACK) as program:
        assert policy(program) == "one"
        configure("two")
        assert post(program) == (200, "")
        assert policy(program) == "two"
        write_web_file(tmp_path / "two", "three")
        wait_until(lambda: policy(program) == "three")
        program.stop()


def write_web_file(path: Path, policy: str) -> None:
    """Write a web configuration file that sets a header."""
    path.write_text(f"http_server_config: {{headers: {{Content-Security-Policy: '{policy}'}}}}")


def policy(program: Program) -> str | None:
    """Return the header that the file sets."""
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=BOUND)
    with contextlib.closing(connection):
        connection.request("HEAD", "/-/healthy")
        return connection.getresponse().getheader("Content-Security-Policy")


def test_replaced_symlink_reloads_the_configuration(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    """Kubernetes replaces the symlink ``..data`` of a mounted ConfigMap."""
    for name, images in (("..1", [GOLDEN]), ("..2", [GOLDEN, UBUNTU])):
        (tmp_path / name).mkdir()
        settings_file(tmp_path / name, cloud(service.url, *images))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "settings.yml").symlink_to("..data/exporter.yml")
    argv = ["--config.file=settings.yml", LOOPBACK, "--config.reload-on-change"]
    with start_program(tmp_path, *argv) as program:
        program.wait_for_metric(TARGETS, 1)
        (tmp_path / "..data_tmp").symlink_to("..2")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")
        program.wait_for_metric(TARGETS, 2)
        assert 'trigger="file changed"' in program.line('msg="configuration reloaded"')
        program.stop()


def test_sighup_during_the_start_does_not_end_the_daemon(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    """It is handled as a reload from the moment the daemon has its addresses."""
    with daemon(tmp_path, cloud(service.url, GOLDEN)) as program:

        def handles_sighup() -> bool:
            status = Path(f"/proc/{program.process.pid}/status").read_text()
            mask = next(line for line in status.splitlines() if line.startswith("SigCgt"))
            return bool(int(mask.split()[1], 16) & 1 << (signal.SIGHUP - 1))

        wait_until(handles_sighup)
        program.process.send_signal(signal.SIGHUP)
        program.line('msg="configuration reloaded"')
        program.stop()
