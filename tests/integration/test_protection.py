"""The daemon with TLS and basic authentication, which change while it is scraped."""

import contextlib
import http.client
import signal
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.simulator import SimulatedImageService
from tests.reloading import cloud, run_concurrently
from tests.support.examples import repetitions
from tests.support.program import (
    BOUND,
    GOLDEN,
    UBUNTU,
    Metrics,
    Program,
    run_program,
    settings_file,
    simulated,
    start_program,
)
from tests.support.wait import wait_until
from tests.support.web_config import (
    OTHER_PASSWORD_HASH,
    PASSWORD_HASH,
    TLS,
    USER,
    WebConfigFolder,
    basic_auth_header,
)

USERS = f"basic_auth_users: {{{USER}: '{PASSWORD_HASH}'}}"
LOOPBACK = "--web.listen-address=127.0.0.1:0"
SUCCESSFUL = "openstack_image_exporter_config_last_reload_successful"
RELOADS = repetitions(100)
CERTIFICATES = RELOADS // 5


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    with SimulatedImageService([simulated(GOLDEN), simulated(UBUNTU)]) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> WebConfigFolder:
    return WebConfigFolder(tmp_path)


class Client:
    """A client that uses one TLS connection until the server closes it."""

    def __init__(self, folder: WebConfigFolder, port: int) -> None:
        context = ssl.create_default_context(cafile=str(folder.path / "ca.pem"))
        self.connection = http.client.HTTPSConnection(
            "localhost", port, context=context, timeout=BOUND
        )

    def request(self, path: str, method: str = "GET", password: str = "dave123") -> tuple[int, str]:
        """Send a request and return the status and the body."""
        self.connection.request(method, path, headers=basic_auth_header(password=password))
        response = self.connection.getresponse()
        return response.status, response.read().decode()

    def metrics(self) -> Metrics:
        """Scrape ``/metrics``."""
        status, text = self.request("/metrics")
        assert status == 200
        return Metrics(text)


@contextlib.contextmanager
def connected_client(folder: WebConfigFolder, program: Program) -> Iterator[Client]:
    client = Client(folder, program.port)
    with contextlib.closing(client.connection):
        yield client


def protected(folder: WebConfigFolder, service: SimulatedImageService) -> list[str]:
    """Return the arguments for a daemon with a certificate and a user."""
    file = settings_file(folder.path, cloud(service.url, GOLDEN))
    folder.write(f"{TLS}}}\n{USERS}")
    return [
        f"--config.file={file}",
        f"--web.config.file={folder.file}",
        "--web.enable-lifecycle",
        LOOPBACK,
    ]


def test_changed_certificates_and_users_are_reloaded(
    folder: WebConfigFolder, service: SimulatedImageService
) -> None:
    """An invalid web configuration is reported and changes nothing."""
    with start_program(folder.path, *protected(folder, service)) as program:
        with connected_client(folder, program) as client:
            wait_until(lambda: client.request("/-/ready")[0] == 200)
            assert client.request("/metrics", password="another")[0] == 401
            assert client.request("/-/reload", "POST", "another")[0] == 401
            assert client.request("/-/reload", "POST") == (200, "")

            serial = certificate(program)
            folder.renew()
            wait_until(lambda: certificate(program) != serial)
            assert client.metrics().value(SUCCESSFUL) == 1

            folder.write(f"{TLS}, min_version: TLS9}}\n{USERS}")
            wait_until(lambda: client.metrics().value(SUCCESSFUL) == 0)
            assert program.lines("level=error", "tls_server_config.min_version: 'TLS9' is not")
            settings_file(folder.path, cloud(service.url, GOLDEN, UBUNTU))
            status, message = client.request("/-/reload", "POST")
            assert (status, message.count("\n")) == (400, 1)
            assert "tls_server_config.min_version" in message
            assert client.metrics().value("openstack_image_exporter_targets") == 1

            folder.write(f"{TLS}}}\nbasic_auth_users: {{{USER}: '{OTHER_PASSWORD_HASH}'}}")
            wait_until(lambda: client.request("/metrics", password="another")[0] == 200)

            folder.write("")
            status, message = client.request("/-/reload", "POST", "another")
            assert status == 400
            assert message.startswith(f"{folder.file}: is empty; accepted: {{}} ")
            assert client.request("/metrics")[0] == 401
        program.stop()


def certificate(program: Program) -> str:
    """Return the certificate that the server presents to a new connection."""
    return ssl.get_server_certificate(("127.0.0.1", program.port), timeout=BOUND)


@pytest.mark.parametrize("command", ["run", "check", "demo"])
def test_invalid_web_configuration_prevents_the_start(
    folder: WebConfigFolder, service: SimulatedImageService, command: str
) -> None:
    argv = protected(folder, service)
    folder.write("basic_auth_users: {john: doe}")
    result = run_program(folder.path, command, *argv)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{folder.file}: basic_auth_users.john: not a bcrypt hash")
    assert "doe" not in result.stderr


@pytest.mark.slow
def test_no_scrape_fails_during_reloads_and_certificate_changes(
    folder: WebConfigFolder, service: SimulatedImageService
) -> None:
    """Two of the four clients reuse their connection, two open a new one for every scrape."""
    with start_program(folder.path, *protected(folder, service)) as program:
        stop = threading.Event()
        scrapes = [0] * 4
        failures: list[object] = []

        def scrape(number: int) -> None:
            reuses = number % 2 == 0
            client = Client(folder, program.port)
            while not stop.is_set():
                try:
                    status, text = client.request("/metrics")
                    if status != 200 or not text.count("openstack_image_exporter_targets"):
                        failures.append((status, text[:200]))
                except (OSError, http.client.HTTPException) as error:
                    failures.append(error)
                scrapes[number] += 1
                if not reuses:
                    client.connection.close()
            client.connection.close()

        def change() -> None:
            try:
                with connected_client(folder, program) as client:
                    for number in range(RELOADS):
                        images = [GOLDEN, UBUNTU][: 1 + number % 2]
                        settings_file(
                            folder.path, cloud(service.url, *images, concurrency=1 + number % 3)
                        )
                        if number % (RELOADS // CERTIFICATES) == 0:
                            folder.renew()
                        status, message = client.request("/-/reload", "POST")
                        if status != 200:
                            failures.append(message)
                    # Every client scrapes once more after the last reload.
                    before = list(scrapes)
                    wait_until(
                        lambda: all(now > then for now, then in zip(scrapes, before, strict=True))
                    )
            finally:
                stop.set()

        wait_until(lambda: program.lines("listening"))
        run_concurrently(*[lambda number=number: scrape(number) for number in range(4)], change)
        assert failures == []
        assert min(scrapes) > CERTIFICATES
        assert len(program.lines('msg="configuration reloaded"')) == RELOADS
        program.stop(signal.SIGTERM)
