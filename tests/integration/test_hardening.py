"""The daemon against clients that are slow, rude or curious, and as systemd starts it."""

import contextlib
import http.client
import re
import signal
import socket
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

SLOW = 500
SECONDS = 20
LOOPBACK = "--web.listen-address=127.0.0.1:0"


@pytest.fixture(scope="module")
def service() -> Iterator[SimulatedImageService]:
    """A service with an image."""
    with SimulatedImageService([simulated(GOLDEN)]) as running:
        yield running


@contextlib.contextmanager
def daemon(folder: Path, service: SimulatedImageService, *argv: str) -> Iterator[Program]:
    """The daemon, and one image."""
    file = settings_file(folder, cloud(service.url, GOLDEN))
    with start_program(folder, f"--config.file={file}", *(argv or [LOOPBACK])) as program:
        assert program.port
        yield program


@pytest.fixture(scope="module")
def standing(
    tmp_path_factory: pytest.TempPathFactory, service: SimulatedImageService
) -> Iterator[Program]:
    """A daemon for the tests that need nothing of their own."""
    with daemon(tmp_path_factory.mktemp("standing"), service) as program:
        yield program


def answer(program: Program, request: bytes) -> bytes:
    """All that comes back for these bytes, up to the end of the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", program.port), timeout=BOUND) as client:
        client.sendall(request)
        with contextlib.suppress(ConnectionResetError):
            while more := client.recv(65536):
                received += more
    return received


def trickle(port: int, until_then: float, stop: threading.Event) -> int:
    """Keep so many connections that send a byte a second; returns how many were made at once."""
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 1000
    clients = [socket.create_connection(("127.0.0.1", port), timeout=BOUND) for _ in range(SLOW)]
    sent = 0
    with contextlib.ExitStack() as opened:
        for client in clients:
            opened.enter_context(client)
        while time.monotonic() < until_then and not stop.is_set():
            for client in clients:
                with contextlib.suppress(OSError):
                    client.send(request[sent : sent + 1])
            sent += 1
            stop.wait(1)
    return len(clients)


def test_slow_clients_do_not_affect_scrapes(tmp_path: Path, service: SimulatedImageService) -> None:
    """500 that send a byte a second, for 20 seconds: each scrape among them is answered."""
    with daemon(tmp_path, service) as program:
        stop = threading.Event()
        end = time.monotonic() + SECONDS
        slow: list[int] = []
        thread = threading.Thread(target=lambda: slow.append(trickle(program.port, end, stop)))
        thread.start()
        times = []
        try:
            while time.monotonic() < end:
                begun = time.monotonic()
                status, text = program.page("/metrics")
                times.append(time.monotonic() - begun)
                assert status == 200
                assert "openstack_image_exists" in text
                stop.wait(0.2)
        finally:
            stop.set()
            thread.join(BOUND)
        assert slow == [SLOW]
        # A scrape that waited for one of them would take as long as it does.
        assert sorted(times)[len(times) // 2] < 1
        program.stop()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"4"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 900_000, b"4"),
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
def test_requests_that_are_too_large_or_none(
    standing: Program, request_: bytes, status: bytes
) -> None:
    """They are refused at once, and the connection is closed."""
    # A head that is too long is 400 where it comes in pieces, else 431.
    assert answer(standing, request_).startswith(b"HTTP/1.1 " + status)
    assert standing.page("/-/healthy")[0] == 200


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
def test_nothing_else_is_served(standing: Program, path: str) -> None:
    """No file, no folder, and no page but ours."""
    said = answer(standing, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 404 ")
    assert said.endswith(b"\r\n\r\nNot Found\n")


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/api/images", "/-/healthy", "/-/ready", "/none", "/api/images?x=1"]
)
def test_every_answer_has_careful_headers(standing: Program, path: str) -> None:
    """A browser is to guess, frame and load nothing, and no version is told."""
    said = answer(standing, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head = said.partition(b"\r\n\r\n")[0].decode().lower()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    assert headers["server"] == "openstack-image-exporter"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "deny"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_behind_a_proxy(tmp_path: Path, service: SimulatedImageService) -> None:
    """Every page is below the external URL's path, and links lead there."""
    argv = [LOOPBACK, "--web.external-url=https://example.com/images/", "--web.enable-lifecycle"]
    with daemon(tmp_path, service, *argv) as program:
        assert program.page("/images/-/healthy")[0] == 200
        assert program.page("/images/metrics")[0] == 200
        assert program.page("/metrics")[0] == 404
        assert program.page("/")[0] == program.page("/images")[0] == 302
        status, page = program.page("/images/")
        assert status == 200
        links = [each for each in re.findall(r'(?:href|src|action)="([^"]*)"', page) if each]
        assert links
        assert [each for each in links if each.startswith("/")] == []
        connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=BOUND)
        with contextlib.closing(connection):
            connection.request("POST", "/images/-/reload")
            assert connection.getresponse().status == 200


# systemd opens the socket and then becomes the program, which so has the number of the process.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "exporter", *sys.argv[2:]])
"""


def test_sockets_of_systemd(tmp_path: Path, service: SimulatedImageService) -> None:
    """Clients that came before it was started are served on the socket that was handed on."""
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
        with early.makefile("rb") as read:
            assert read.read().endswith(b"Healthy\n")
        program = Program(process, tmp_path / "stdout", err)
        assert program.port == listener.getsockname()[1]
        program.stop(signal.SIGTERM)


def test_a_socket_of_systemd_that_is_not_there(tmp_path: Path) -> None:
    """It is said in a line."""
    file = settings_file(tmp_path, cloud("http://127.0.0.1:1", GOLDEN))
    with start_program(tmp_path, f"--config.file={file}", "--web.systemd-socket") as program:
        assert program.process.wait(BOUND) == 2
        said = "systemd passed no socket: LISTEN_FDS and LISTEN_PID are not set for this process"
        assert program.log_lines == [said]
