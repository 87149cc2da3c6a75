"""Tests of exporter.healthcheck: asked of real servers, plain and with TLS."""

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from exporter import healthcheck
from exporter.healthcheck import DaemonSettings, ask, main
from tests.support.program import environment, start_program
from tests.support.web_config import PASSWORD_HASH, TLS, USER, WebConfigFolder

OK = 200
Pages = dict[str, tuple[int, str]]


@contextmanager
def serving(pages: Pages, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that answers these paths with these statuses and texts; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # how http.server calls it
            """Answer as told."""
            status, text = pages.get(self.path, (404, "Not Found"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(HTTPServer):
        def get_request(self) -> tuple[socket.socket, object]:
            """A connection, with TLS if it is to be."""
            plain, address = super().get_request()
            plain.settimeout(5)
            return (tls.wrap_socket(plain, server_side=True) if tls else plain), address

        def handle_error(self, *_: object) -> None:
            """Say nothing."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def server_tls(*, clients: bool = False) -> ssl.SSLContext:
    """TLS of a server whom nobody here trusts; it may ask clients for a certificate."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("exporter.example.com").configure_cert(context)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


@pytest.mark.parametrize("tls", [None, server_tls()], ids=["plain", "TLS"])
def test_well_is_what_answers_200(tls: ssl.SSLContext | None) -> None:
    """With TLS too, whoever issued the certificate; and any other answer is not well."""
    pages = {"/-/healthy": (OK, "healthy\n"), "/-/ready": (503, "no cycle finished yet: lab\n")}
    with serving(pages, tls) as address:
        assert ask(address, "/-/healthy") == (True, "200 healthy")
        assert ask(address, "/-/ready") == (False, "503 no cycle finished yet: lab")
        assert ask(address, "/nowhere") == (False, "404 Not Found")


@pytest.mark.parametrize("reason", ["401 Unauthorized", "403 Forbidden", "429 Too Many Requests"])
def test_who_does_not_let_in_is_well(reason: str) -> None:
    """No password is known here, and who asks for one answers; so does who is asked too often."""
    pages = {"/-/healthy": (int(reason.split(maxsplit=1)[0]), "who are you?")}
    with serving(pages, server_tls()) as address:
        assert ask(address, "/-/healthy") == (True, f"answers, with {reason}")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_asks_for_a_certificate_is_well(version: ssl.TLSVersion) -> None:
    """No certificate is known here either."""
    context = server_tls(clients=True)
    context.minimum_version = context.maximum_version = version
    with serving({"/-/healthy": (OK, "healthy")}, context) as address:
        assert ask(address, "/-/healthy") == (True, "answers, and asks for a certificate")


def test_who_does_not_listen_is_not_well() -> None:
    """A refused connection says so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    verdict = ask(address, "/-/healthy")
    assert not verdict.well
    assert "Connection refused" in verdict.why


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"], ids=["nothing", "no HTTP"])
def test_who_speaks_otherwise_is_not_well(said: bytes) -> None:
    """Neither HTTP nor TLS is an error in a line."""

    def answer(server: socket.socket) -> None:
        for _ in range(3):
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=[server])
        thread.start()
        verdict = ask(f"127.0.0.1:{server.getsockname()[1]}", "/-/healthy")
        thread.join()
    assert not verdict.well
    assert verdict.why.startswith("no answer: ")


def test_who_never_answers_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for, and not for ever."""
    monkeypatch.setattr(healthcheck, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        verdict = ask(f"127.0.0.1:{server.getsockname()[1]}", "/-/healthy")
    assert verdict == (False, "no answer: timed out")


@pytest.mark.parametrize(
    ("argv", "environ", "file", "expected"),
    [
        ([], {}, "", None),
        ([], {}, "web: {listen_address: ':4'}", ":4"),
        ([], {"IMAGE_EXPORTER_WEB__LISTEN_ADDRESS": ":3"}, "web: {listen_address: ':4'}", ":3"),
        (["--web.listen-address=:2"], {"IMAGE_EXPORTER_WEB__LISTEN_ADDRESS": ":3"}, "", ":2"),
        (["run", "--web.listen-address", ":2", "--interval=5s"], {}, "", ":2"),
        (["--web.listen-address=:1", "--web.listen-address=:2"], {}, "", ":2"),
        (["--web.listen-address"], {}, "", None),
        ([], {}, "web: [", None),
        ([], {}, "web: 5", None),
        ([], {}, "web: {listen_address: 5}", None),
        ([], {}, "web:\r\n\r\n  listen_address: ':4'\r\nclouds: []\r\n", ":4"),
        ([], {}, "web:\n# where\n  listen_address: ':4'", ":4"),
        ([], {}, "web: {\nlisten_address: ':4'\n}", ":4"),
        ([], {}, "---\n  'web':\n    listen_address: ':4'\n", ":4"),
        ([], {}, "interval: 5s\n'web': {listen_address: ':4'}", ":4"),
        ([], {}, 'interval: 5s\n"web" :\n  listen_address: ":4"\nclouds: []', ":4"),
        ([], {}, '{"web": {"listen_address": ":4"}}', ":4"),
        ([], {}, '{\n"web": {"listen_address": ":4"},\n"clouds": []\n}', ":4"),
        ([], {}, "interval: &where ':4'\nweb: {listen_address: *where}", ":4"),
        ([], {}, "clouds:\n- name: web\n  web: {listen_address: ':4'}\n", None),
    ],
)
def test_settings_are_where_the_exporter_has_them(
    tmp_path: Path, argv: list[str], environ: dict[str, str], file: str, expected: str | None
) -> None:
    """Flags over environment over file; what cannot be read is as good as not there."""
    path = tmp_path / "exporter.yml"
    path.write_text(file)
    written = DaemonSettings([f"--config.file={path}", *argv], environ)
    assert written.get("web.listen_address") == expected


@pytest.mark.parametrize("others", ["clouds: [", "clouds:\n  - images: {", "clouds: *none"])
def test_of_the_file_no_more_is_read_than_is_asked_for(tmp_path: Path, others: str) -> None:
    """What stands before and behind is not even looked at: it may be 100,000 images."""
    path = tmp_path / "exporter.yml"
    path.write_text(f"{others}\nweb:\n  listen_address: ':4'\n{others}\n")
    assert DaemonSettings([f"--config.file={path}"], {}).get("web.listen_address") == ":4"
    path.write_text(f"{others}\n")
    assert DaemonSettings([f"--config.file={path}"], {}).get("web.listen_address") is None


def test_a_file_that_is_gone_is_no_illness(tmp_path: Path) -> None:
    """The exporter has read its settings, and needs the file no more."""
    written = DaemonSettings([f"--config.file={tmp_path / 'gone'}"], {})
    assert written.get("web.listen_address") is None


@pytest.fixture
def first_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives the container's first process a command line."""

    def give(*argv: str) -> None:
        path = tmp_path / "cmdline"
        path.write_text("\0".join([*argv, ""]))
        monkeypatch.setattr(healthcheck, "FIRST_PROCESS", path)

    return give


@pytest.mark.parametrize(
    ("prefix", "flags"),
    [
        ("", []),
        ("/images", ["--web.route-prefix=/images"]),
        ("/images", ["--web.route-prefix=images/"]),
        ("/images", ["--web.external-url=https://monitoring.example.com/images"]),
        ("", ["--web.external-url=https://monitoring.example.com/images", "--web.route-prefix=/"]),
    ],
)
def test_the_exit_status_says_it(
    first_process: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    prefix: str,
    flags: list[str],
) -> None:
    """0 is well and 1 is not, for the exporter that the first process is, below its prefix."""
    pages = {f"{prefix}/-/healthy": (OK, "healthy"), f"{prefix}/-/ready": (503, "not yet")}
    with serving(pages) as address:
        words = ["exporter", f"--web.listen-address={address}", *flags]
        first_process("/sbin/docker-init", "--", *words)
        assert main([]) == 0
        assert main(["healthy"]) == 0
        assert main(["ready"]) == 1
    assert capsys.readouterr().out == "200 healthy\n200 healthy\n503 not yet\n"


def test_the_first_process_may_be_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it cannot be seen, the environment says where to ask."""
    monkeypatch.setattr(healthcheck, "FIRST_PROCESS", tmp_path / "none")
    with serving({"/-/healthy": (OK, "healthy")}) as address:
        monkeypatch.setenv("IMAGE_EXPORTER_WEB__LISTEN_ADDRESS", address)
        assert main([]) == 0
    assert capsys.readouterr().out == "200 healthy\n"


def test_the_program_asks_the_exporter(tmp_path: Path) -> None:
    """`python -m exporter.healthcheck` says yes of a demo that runs, where the environment says."""
    with start_program(tmp_path, "demo", "--web.listen-address=127.0.0.1:0") as exporter:
        address = f"127.0.0.1:{exporter.port}"
        ran = subprocess.run(
            [sys.executable, "-m", "exporter.healthcheck"],
            env=environment(tmp_path, IMAGE_EXPORTER_WEB__LISTEN_ADDRESS=address),
            capture_output=True,
            text=True,
            check=False,
        )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "200 Healthy\n", "")


@pytest.mark.parametrize(
    ("web", "said"),
    [
        (f"{TLS}}}", "200 Healthy"),
        (
            f"{TLS}}}\nbasic_auth_users: {{{USER}: {PASSWORD_HASH}}}",
            "answers, with 401 Unauthorized",
        ),
        (
            f"{TLS}, client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert}}",
            "answers, and asks for a certificate",
        ),
    ],
    ids=["TLS", "users", "certificates of clients"],
)
def test_the_web_configuration_is_no_hindrance(tmp_path: Path, web: str, said: str) -> None:
    """An exporter that wants TLS, a password or a certificate is well."""
    file = WebConfigFolder(tmp_path).write(web)
    flags = ["--web.listen-address=127.0.0.1:0", f"--web.config.file={file}"]
    with start_program(tmp_path, "demo", *flags) as exporter:
        verdict = ask(f"127.0.0.1:{exporter.port}", "/-/healthy")
        assert verdict == (True, said), exporter.log_lines
        assert exporter.lines("level=error") == []


def test_it_imports_nothing_of_the_exporter() -> None:
    """It is started every few seconds, so it must start at once."""
    code = (
        "import sys, exporter.healthcheck; print(*sorted(m for m in sys.modules if 'pydantic' in m "
        "or m.startswith('exporter.')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["exporter.healthcheck"]
