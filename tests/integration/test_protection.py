"""The daemon behind certificates and passwords, which change while it is scraped."""

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
RELOADS = 100
SWAPS = 20


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """A service with two images."""
    with SimulatedImageService([simulated(GOLDEN), simulated(UBUNTU)]) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> WebConfigFolder:
    """A folder with certificates."""
    return WebConfigFolder(tmp_path)


class Client:
    """Asks by TLS on one connection, as long as the server keeps it."""

    def __init__(self, folder: WebConfigFolder, port: int) -> None:
        context = ssl.create_default_context(cafile=str(folder.path / "ca.pem"))
        self.connection = http.client.HTTPSConnection(
            "localhost", port, context=context, timeout=BOUND
        )

    def ask(self, path: str, method: str = "GET", password: str = "dave123") -> tuple[int, str]:
        """Status and body."""
        self.connection.request(method, path, headers=basic_auth_header(password=password))
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def metrics(self) -> Metrics:
        """What ``/metrics`` says."""
        status, text = self.ask("/metrics")
        assert status == 200
        return Metrics(text)


@contextlib.contextmanager
def asking(folder: WebConfigFolder, program: Program) -> Iterator[Client]:
    """A client, until the block ends."""
    client = Client(folder, program.port)
    with contextlib.closing(client.connection):
        yield client


def protected(folder: WebConfigFolder, service: SimulatedImageService) -> list[str]:
    """The arguments for a daemon with certificates and users."""
    file = settings_file(folder.path, cloud(service.url, GOLDEN))
    folder.write(f"{TLS}}}\n{USERS}")
    return [
        f"--config.file={file}",
        f"--web.config.file={folder.file}",
        "--web.enable-lifecycle",
        LOOPBACK,
    ]


def test_certificates_and_users_are_read_again(
    folder: WebConfigFolder, service: SimulatedImageService
) -> None:
    """When a file has changed; one that is no good changes nothing, and that is said."""
    with start_program(folder.path, *protected(folder, service)) as program:
        with asking(folder, program) as client:
            wait_until(lambda: client.ask("/-/ready")[0] == 200)
            assert client.ask("/metrics", password="another")[0] == 401
            assert client.ask("/-/reload", "POST", "another")[0] == 401
            assert client.ask("/-/reload", "POST") == (200, "")

            serial = certificate(program)
            folder.renew()
            wait_until(lambda: certificate(program) != serial)
            assert client.metrics().value(SUCCESSFUL) == 1

            folder.write(f"{TLS}, min_version: TLS9}}\n{USERS}")
            wait_until(lambda: client.metrics().value(SUCCESSFUL) == 0)
            assert program.lines("level=error", "tls_server_config.min_version: 'TLS9' is not")
            settings_file(folder.path, cloud(service.url, GOLDEN, UBUNTU))
            status, said = client.ask("/-/reload", "POST")
            assert (status, said.count("\n")) == (400, 1)
            assert "tls_server_config.min_version" in said
            assert client.metrics().value("openstack_image_exporter_targets") == 1

            folder.write(f"{TLS}}}\nbasic_auth_users: {{{USER}: '{OTHER_PASSWORD_HASH}'}}")
            wait_until(lambda: client.ask("/metrics", password="another")[0] == 200)

            folder.write("")
            status, said = client.ask("/-/reload", "POST", "another")
            assert (status, said.startswith(f"{folder.file}: is empty; accepted: {{}} ")) == (
                400,
                True,
            )
            assert client.ask("/metrics")[0] == 401
        program.stop()


def certificate(program: Program) -> str:
    """The certificate that a new connection is given."""
    return ssl.get_server_certificate(("127.0.0.1", program.port), timeout=BOUND)


@pytest.mark.parametrize("command", ["run", "check", "demo"])
def test_a_bad_file_is_refused_at_the_start(
    folder: WebConfigFolder, service: SimulatedImageService, command: str
) -> None:
    """The command says why in a line, and ends with 2."""
    argv = protected(folder, service)
    folder.write("basic_auth_users: {john: doe}")
    ran = run_program(folder.path, command, *argv)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"{folder.file}: basic_auth_users.john: not a bcrypt hash")
    assert "doe" not in ran.stderr


def test_no_scrape_fails_through_reloads_and_certificate_swaps(
    folder: WebConfigFolder, service: SimulatedImageService
) -> None:
    """Four clients scrape all the while, on kept and on new connections, and get their answers."""
    with start_program(folder.path, *protected(folder, service)) as program:
        stop = threading.Event()
        scrapes = [0] * 4
        failed: list[object] = []

        def scrape(place: int) -> None:
            keeps = place % 2 == 0
            client = Client(folder, program.port)
            while not stop.is_set():
                try:
                    status, text = client.ask("/metrics")
                    if status != 200 or not text.count("openstack_image_exporter_targets"):
                        failed.append((status, text[:200]))
                except (OSError, http.client.HTTPException) as error:
                    failed.append(error)
                scrapes[place] += 1
                if not keeps:
                    client.connection.close()
            client.connection.close()

        def change() -> None:
            try:
                with asking(folder, program) as client:
                    for number in range(RELOADS):
                        images = [GOLDEN, UBUNTU][: 1 + number % 2]
                        settings_file(
                            folder.path, cloud(service.url, *images, concurrency=1 + number % 3)
                        )
                        if number % (RELOADS // SWAPS) == 0:
                            folder.renew()
                        status, said = client.ask("/-/reload", "POST")
                        if status != 200:
                            failed.append(said)
                    # The others ask on after the last one.
                    seen = list(scrapes)
                    wait_until(
                        lambda: all(now > then for now, then in zip(scrapes, seen, strict=True))
                    )
            finally:
                stop.set()

        wait_until(lambda: program.lines("listening"))
        run_concurrently(*[lambda place=place: scrape(place) for place in range(4)], change)
        assert failed == []
        assert min(scrapes) > SWAPS
        assert len(program.lines("configuration reloaded")) == RELOADS
        program.stop(signal.SIGTERM)
