"""Health checks against real servers, plain and with TLS."""

import json
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
from exporter.config import parse
from exporter.config.sources import ENVIRONMENT_PREFIX
from exporter.healthcheck import DaemonSettings, main, probe
from tests.support.program import environment, start_program
from tests.support.web_config import PASSWORD_HASH, TLS, USER, WebConfigFolder

OK = 200
Pages = dict[str, tuple[int, str]]


@contextmanager
def serving(pages: Pages, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve these paths with these statuses and texts; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # how http.server calls it
            """Respond with the status and the text of the path."""
            status, text = pages.get(self.path, (404, "Not Found"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    class Server(HTTPServer):
        def get_request(self) -> tuple[socket.socket, object]:
            """Accept a connection, with TLS if it is configured."""
            plain, address = super().get_request()
            plain.settimeout(5)
            return (tls.wrap_socket(plain, server_side=True) if tls else plain), address

        def handle_error(self, *_: object) -> None:
            """Ignore errors."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def server_tls(*, client_certificates: bool = False) -> ssl.SSLContext:
    """Return TLS of a server that no client trusts; it may require client certificates."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("exporter.example.com").configure_cert(context)
    if client_certificates:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


@pytest.mark.parametrize("tls", [None, server_tls()], ids=["plain", "TLS"])
def test_only_status_200_is_healthy(tls: ssl.SSLContext | None) -> None:
    pages = {"/-/healthy": (OK, "healthy\n"), "/-/ready": (503, "no cycle finished yet: lab\n")}
    with serving(pages, tls) as address:
        assert probe(address, "/-/healthy") == (True, "200 healthy")
        assert probe(address, "/-/ready") == (False, "503 no cycle finished yet: lab")
        assert probe(address, "/nowhere") == (False, "404 Not Found")


@pytest.mark.parametrize("reason", ["401 Unauthorized", "403 Forbidden", "429 Too Many Requests"])
def test_exporter_that_requires_a_password_or_limits_requests_is_healthy(reason: str) -> None:
    pages = {"/-/healthy": (int(reason.split(maxsplit=1)[0]), "password?")}
    with serving(pages, server_tls()) as address:
        assert probe(address, "/-/healthy") == (True, f"responds with {reason}")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_exporter_that_requires_a_client_certificate_is_healthy(version: ssl.TLSVersion) -> None:
    context = server_tls(client_certificates=True)
    context.minimum_version = context.maximum_version = version
    with serving({"/-/healthy": (OK, "healthy")}, context) as address:
        assert probe(address, "/-/healthy") == (True, "requires a client certificate")


def test_refused_connection_is_unhealthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    result = probe(address, "/-/healthy")
    assert not result.healthy
    assert "Connection refused" in result.reason


@pytest.mark.parametrize("data", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"], ids=["nothing", "no HTTP"])
def test_server_that_speaks_neither_http_nor_tls_is_unhealthy(data: bytes) -> None:
    def respond(server: socket.socket) -> None:
        for _ in range(3):
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=respond, args=[server])
        thread.start()
        result = probe(f"127.0.0.1:{server.getsockname()[1]}", "/-/healthy")
        thread.join()
    assert not result.healthy
    assert result.reason.startswith("no response: ")


def test_server_that_never_responds_is_unhealthy_after_a_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(healthcheck, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = probe(f"127.0.0.1:{server.getsockname()[1]}", "/-/healthy")
    assert result == (False, "no response: timed out")


@pytest.mark.parametrize(
    ("argv", "environ", "file", "expected"),
    [
        ([], {}, "", None),
        ([], {}, "web: {listen_address: ':4'}", ":4"),
        ([], {"IMAGE_EXPORTER_WEB__LISTEN_ADDRESS": ":3"}, "web: {listen_address: ':4'}", ":3"),
        (["--web.listen-address=:2"], {"IMAGE_EXPORTER_WEB__LISTEN_ADDRESS": ":3"}, "", ":2"),
        (["run", "--web.listen-address", ":2", "--interval=5s"], {}, "", ":2"),
        (["--web.listen-address=:1", "--web.listen-address=:2"], {}, "", ":2"),
        ([], {}, "web: {listen_address: [':4', ':5']}", ":4"),
        ([], {}, "web: {listen_address: []}", None),
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
def test_flags_precede_environment_and_file(
    tmp_path: Path, argv: list[str], environ: dict[str, str], file: str, expected: str | None
) -> None:
    """Values that cannot be read count as missing."""
    path = tmp_path / "exporter.yml"
    path.write_text(file)
    settings = DaemonSettings([f"--config.file={path}", *argv], environ)
    assert settings.get("web.listen_address") == expected


@pytest.mark.parametrize("others", ["clouds: [", "clouds:\n  - images: {", "clouds: *none"])
def test_only_the_web_settings_of_the_file_are_parsed(tmp_path: Path, others: str) -> None:
    """The lines before and after may be 100,000 images."""
    path = tmp_path / "exporter.yml"
    path.write_text(f"{others}\nweb:\n  listen_address: ':4'\n{others}\n")
    assert DaemonSettings([f"--config.file={path}"], {}).get("web.listen_address") == ":4"
    path.write_text(f"{others}\n")
    assert DaemonSettings([f"--config.file={path}"], {}).get("web.listen_address") is None


def test_missing_settings_file_is_not_an_error(tmp_path: Path) -> None:
    """The exporter has read its settings, and no longer needs the file."""
    settings = DaemonSettings([f"--config.file={tmp_path / 'gone'}"], {})
    assert settings.get("web.listen_address") is None


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"listen_address": "127.0.0.1:9"},
        {"listen_address": "[::1]:9"},
        {"listen_address": "127.0.0.1:9, [::1]:9"},
        {"route_prefix": "/"},
        {"route_prefix": "images"},
        {"route_prefix": "/images/"},
        {"external_url": "https://monitoring.example.com"},
        {"external_url": "https://monitoring.example.com/images/"},
        {"external_url": "https://monitoring.example.com/images", "route_prefix": "/"},
        {"external_url": "https://monitoring.example.com/a/b", "route_prefix": "/c/d"},
    ],
    ids=str,
)
@pytest.mark.parametrize("source", ["flags", "environment", "file"])
def test_health_check_and_exporter_read_the_same_settings(
    tmp_path: Path, values: dict[str, str], source: str
) -> None:
    """The health check repeats the rules of the settings, because importing them is too slow."""
    argv, environ = [], {}
    if source == "flags":
        argv = [f"--web.{key.replace('_', '-')}={value}" for key, value in values.items()]
    elif source == "environment":
        environ = {f"{ENVIRONMENT_PREFIX}WEB__{key.upper()}": values[key] for key in values}
    else:
        path = tmp_path / "exporter.yml"
        path.write_text(json.dumps({"web": values}))
        argv = [f"--config.file={path}"]
    web = parse(["demo", *argv], environ).settings.web
    settings = DaemonSettings(argv, environ)
    assert (settings.listen_address, settings.prefix) == (web.listen_address[0], web.prefix)


@pytest.fixture
def first_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets the command line of the container's first process."""

    def set_command_line(*argv: str) -> None:
        path = tmp_path / "cmdline"
        path.write_text("\0".join([*argv, ""]))
        monkeypatch.setattr(healthcheck, "FIRST_PROCESS", path)

    return set_command_line


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
def test_exit_status_is_that_of_the_exporter_in_the_first_process(
    first_process: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    prefix: str,
    flags: list[str],
) -> None:
    pages = {f"{prefix}/-/healthy": (OK, "healthy"), f"{prefix}/-/ready": (503, "not yet")}
    with serving(pages) as address:
        command = ["exporter", f"--web.listen-address={address}", *flags]
        first_process("/sbin/docker-init", "--", *command)
        assert main([]) == 0
        assert main(["healthy"]) == 0
        assert main(["ready"]) == 1
    assert capsys.readouterr().out == "200 healthy\n200 healthy\n503 not yet\n"


def test_address_comes_from_the_environment_if_the_first_process_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(healthcheck, "FIRST_PROCESS", tmp_path / "none")
    with serving({"/-/healthy": (OK, "healthy")}) as address:
        monkeypatch.setenv("IMAGE_EXPORTER_WEB__LISTEN_ADDRESS", address)
        assert main([]) == 0
    assert capsys.readouterr().out == "200 healthy\n"


def test_health_check_of_a_running_demo_succeeds(tmp_path: Path) -> None:
    with start_program(tmp_path, "demo", "--web.listen-address=127.0.0.1:0") as exporter:
        address = f"127.0.0.1:{exporter.port}"
        process = subprocess.run(
            [sys.executable, "-m", "exporter.healthcheck"],
            env=environment(tmp_path, IMAGE_EXPORTER_WEB__LISTEN_ADDRESS=address),
            capture_output=True,
            text=True,
            check=False,
        )
    assert (process.returncode, process.stdout, process.stderr) == (0, "200 Healthy\n", "")


@pytest.mark.parametrize(
    ("web", "reason"),
    [
        (f"{TLS}}}", "200 Healthy"),
        (
            f"{TLS}}}\nbasic_auth_users: {{{USER}: {PASSWORD_HASH}}}",
            "responds with 401 Unauthorized",
        ),
        (
            f"{TLS}, client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert}}",
            "requires a client certificate",
        ),
    ],
    ids=["TLS", "users", "certificates of clients"],
)
def test_exporter_with_a_web_configuration_is_healthy(
    tmp_path: Path, web: str, reason: str
) -> None:
    file = WebConfigFolder(tmp_path).write(web)
    flags = ["--web.listen-address=127.0.0.1:0", f"--web.config.file={file}"]
    with start_program(tmp_path, "demo", *flags) as exporter:
        result = probe(f"127.0.0.1:{exporter.port}", "/-/healthy")
        assert result == (True, reason), exporter.log_lines
        assert exporter.lines("level=error") == []


def test_health_check_imports_no_other_module_of_the_exporter() -> None:
    """It is started every few seconds, so it must start quickly."""
    code = (
        "import sys, exporter.healthcheck; print(*sorted(m for m in sys.modules if 'pydantic' in m "
        "or m.startswith('exporter.')))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.split() == ["exporter.healthcheck"]
