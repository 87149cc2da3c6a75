"""The daemon with slow and malicious clients, behind a proxy, and with sockets of systemd."""

import contextlib
import http.client
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.simulator import SimulatedImageService
from tests.reloading import cloud
from tests.support.program import (
    BOUND,
    GOLDEN,
    Program,
    environment,
    settings_file,
    simulated,
    start_program,
)

SLOW_CLIENTS = 500
SECONDS = 20
LOOPBACK = "--web.listen-address=127.0.0.1:0"


@pytest.fixture(scope="module")
def service() -> Iterator[SimulatedImageService]:
    with SimulatedImageService([simulated(GOLDEN)]) as running:
        yield running


@contextlib.contextmanager
def daemon(folder: Path, service: SimulatedImageService, *argv: str) -> Iterator[Program]:
    """Start the daemon with one image, and wait until it listens."""
    file = settings_file(folder, cloud(service.url, GOLDEN))
    with start_program(folder, f"--config.file={file}", *(argv or [LOOPBACK])) as program:
        assert program.port
        yield program


@pytest.fixture(scope="module")
def shared_daemon(
    tmp_path_factory: pytest.TempPathFactory, service: SimulatedImageService
) -> Iterator[Program]:
    """Yield one daemon for all tests that do not change it."""
    with daemon(tmp_path_factory.mktemp("shared"), service) as program:
        yield program


def send(program: Program, request: bytes) -> bytes:
    """Send these bytes and return everything received until the connection is closed."""
    received = b""
    with socket.create_connection(("127.0.0.1", program.port), timeout=BOUND) as client:
        client.sendall(request)
        with contextlib.suppress(ConnectionResetError):
            while more := client.recv(65536):
                received += more
    return received


def trickle(clients: list[socket.socket], stop: threading.Event) -> None:
    """Send one byte a second on every connection."""
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 1000
    for byte in request:
        for client in clients:
            with contextlib.suppress(OSError):
                client.send(bytes((byte,)))
        if stop.wait(1):
            return


@pytest.mark.slow
def test_slow_clients_do_not_affect_scrapes(tmp_path: Path, service: SimulatedImageService) -> None:
    """500 clients send a byte a second for 20 seconds; every scrape meanwhile succeeds."""
    with daemon(tmp_path, service) as program, contextlib.ExitStack() as stack:
        address = ("127.0.0.1", program.port)
        clients = [
            stack.enter_context(socket.create_connection(address, timeout=BOUND))
            for _ in range(SLOW_CLIENTS)
        ]
        stop = threading.Event()
        thread = threading.Thread(target=trickle, args=(clients, stop))
        thread.start()
        end = time.monotonic() + SECONDS
        durations = []
        try:
            while time.monotonic() < end:
                start = time.monotonic()
                status, text = program.page("/metrics")
                durations.append(time.monotonic() - start)
                assert status == 200
                assert "openstack_image_exists" in text
                stop.wait(0.2)
        finally:
            stop.set()
            thread.join(BOUND)
        # A scrape that waited for a slow client would take as long as that client.
        assert statistics.median(durations) < SECONDS / 4
        program.stop()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"4"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 900_000, b"4"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 2_800 + b"\r\n", b"4"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"4"),
        (b"GET /?" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"4"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", b"413"),
        (b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", b"411"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
    ],
)
def test_oversized_and_malformed_requests_are_refused_at_once(
    shared_daemon: Program, request_: bytes, status: bytes
) -> None:
    # A head that is too long gets 400 if it arrives in pieces, else 431.
    assert send(shared_daemon, request_).startswith(b"HTTP/1.1 " + status)
    assert shared_daemon.page("/-/healthy")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/etc/passwd",
        "/exporter.yml",
        "/templates/",
        "/templates/page.html",
        "/static/",
        "/.git/config",
        "/-/",
        "/api/",
        "/metrics/",
        "/-/quit",
        "/debug/pprof/",
        "/%00",
    ],
)
def test_other_paths_and_files_get_404(shared_daemon: Program, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    response = send(shared_daemon, request.encode())
    assert response.startswith(b"HTTP/1.1 404 ")
    assert response.endswith(b"\r\n\r\nNot Found\n")


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/api/images", "/-/healthy", "/-/ready", "/none", "/api/images?x=1"]
)
def test_every_response_has_security_headers_and_no_version(
    shared_daemon: Program, path: str
) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    response = send(shared_daemon, request.encode())
    head = response.partition(b"\r\n\r\n")[0].decode().lower()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    assert headers["server"] == "openstack-image-exporter"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "deny"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_external_url_sets_the_path_of_every_page_and_link(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    argv = [LOOPBACK, "--web.external-url=https://example.com/images/", "--web.enable-lifecycle"]
    with daemon(tmp_path, service, *argv) as program:
        assert program.page("/images/-/healthy")[0] == 200
        assert program.page("/images/metrics")[0] == 200
        assert program.page("/metrics")[0] == 404
        assert program.page("/")[0] == program.page("/images")[0] == 302
        status, page = program.page("/images/")
        assert status == 200
        links = [link for link in re.findall(r'(?:href|src|action)="([^"]*)"', page) if link]
        assert links
        assert [link for link in links if link.startswith("/")] == []
        connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=BOUND)
        with contextlib.closing(connection):
            connection.request("POST", "/images/-/reload")
            assert connection.getresponse().status == 200


def test_health_pages_below_a_prefix_are_exempt_from_the_rate_limit(
    tmp_path: Path, service: SimulatedImageService
) -> None:
    file = tmp_path / "web.yml"
    file.write_text("rate_limit: {interval: 1h, burst: 1}")
    external_url = "--web.external-url=https://example.com/images/"
    with daemon(tmp_path, service, LOOPBACK, external_url, f"--web.config.file={file}") as program:
        paths = ("/images/-/healthy", "/images/-/healthy", "/-/healthy", "/-/healthy")
        assert [program.page(path)[0] for path in paths] == [200, 200, 404, 429]


# systemd opens the socket and executes the program in the same process, so LISTEN_PID is its PID.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "exporter", *sys.argv[2:]])
"""


def test_socket_of_systemd_is_used(tmp_path: Path, service: SimulatedImageService) -> None:
    """A client that connected before the daemon started is served."""
    file = settings_file(tmp_path, cloud(service.url, GOLDEN))
    err = tmp_path / "stderr"
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=BOUND) as early,
        err.open("wb") as stderr,
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                ACTIVATE,
                str(listener.fileno()),
                f"--config.file={file}",
                "--web.systemd-socket",
            ],
            cwd=tmp_path,
            env=environment(tmp_path),
            pass_fds=[listener.fileno()],
            stderr=stderr,
        ) as process,
    ):
        early.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        with early.makefile("rb") as response:
            assert response.read().endswith(b"Healthy\n")
        program = Program(process, tmp_path / "stdout", err)
        assert program.port == listener.getsockname()[1]
        program.stop(signal.SIGTERM)


def test_missing_socket_of_systemd_is_reported(tmp_path: Path) -> None:
    file = settings_file(tmp_path, cloud("http://127.0.0.1:1", GOLDEN))
    with start_program(tmp_path, f"--config.file={file}", "--web.systemd-socket") as program:
        assert program.process.wait(BOUND) == 2
        message = "systemd passed no socket: LISTEN_FDS and LISTEN_PID are not set for this process"
        assert program.log_lines == [message]
