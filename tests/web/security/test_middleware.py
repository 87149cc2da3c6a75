"""Clients that are let in or not, over real connections, in the clear and by TLS."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.web.security import middleware as module
from exporter.web.security.middleware import (
    SECURITY_HEADERS,
    SecurityMiddleware,
    SecurityState,
)
from exporter.web.security.rate_limit import TokenBucket
from exporter.web.server.http_protocol import TIMEOUTS, ConnectionState
from exporter.web_security import load_security
from tests.support.web_config import (
    OTHER_PASSWORD_HASH,
    PASSWORD,
    PASSWORD_HASH,
    TLS,
    USER,
    WebConfigFolder,
    basic_auth_header,
)
from tests.web.conftest import BOUND, Running, running

VERIFIES = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"


async def hello(_: Request) -> Response:
    """A short answer."""
    return PlainTextResponse("hello")


async def strict(_: Request) -> Response:
    """An answer with a policy of its own."""
    return PlainTextResponse("strict", headers={"Content-Security-Policy": "sandbox"})


APP = Starlette(routes=[Route("/", hello), Route("/strict", strict), Route("/-/healthy", hello)])


@pytest.fixture
def folder(tmp_path: Path) -> WebConfigFolder:
    """A folder with certificates."""
    return WebConfigFolder(tmp_path)


@contextmanager
def guarded(guard: SecurityState) -> Iterator[Running]:
    """A server behind a guard."""
    with running(SecurityMiddleware(APP, guard), guard) as server:
        yield server


@contextmanager
def served(folder: WebConfigFolder, text: str) -> Iterator[Running]:
    """A server with this web configuration file."""
    with guarded(SecurityState(load_security(folder.write(text)).config)) as server:
        yield server


def trusting(folder: WebConfigFolder, **options: object) -> ssl.SSLContext:
    """A client's context, which trusts the folder's CA."""
    context = ssl.create_default_context(cafile=str(folder.path / "ca.pem"))
    for name, value in options.items():
        setattr(context, name, value)
    return context


def securely(
    server: Running, context: ssl.SSLContext, headers: Mapping[str, str] | None = None
) -> http.client.HTTPResponse:
    """The answer to a request by TLS."""
    connection = http.client.HTTPSConnection(
        "localhost", server.port, context=context, timeout=BOUND
    )
    with contextlib.closing(connection):
        connection.request("GET", "/", headers=dict(headers or {}))
        answer = connection.getresponse()
        answer.read()
        return answer


def handshake(server: Running, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A secured connection, on which the server has shown that it takes the client."""
    with contextlib.ExitStack() as opened:
        address = ("127.0.0.1", server.port)
        plain = opened.enter_context(socket.create_connection(address, timeout=BOUND))
        secured = context.wrap_socket(plain, server_hostname="localhost")
        opened.enter_context(secured)
        secured.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert secured.recv(9) == b"HTTP/1.1 "
        opened.pop_all()
    return secured


def refuses(server: Running, context: ssl.SSLContext) -> bool:
    """Whether a client with this context is not let in."""
    try:
        handshake(server, context).close()
    except (OSError, AssertionError):
        return True
    return False


def test_without_users_all_come_in_and_answers_have_headers(folder: WebConfigFolder) -> None:
    """Those that make a browser careful, unless the page has its own."""
    with served(folder, "") as server:
        answer = server.ask("/")
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name.lower()] == value
        assert answer.headers["server"] == "openstack-image-exporter"
        assert server.ask("/strict").headers["content-security-policy"] == "sandbox"
        missing = server.ask("/no.such")
        assert (missing.status, missing.headers["x-content-type-options"]) == (404, "nosniff")


def test_headers_that_are_asked_for(folder: WebConfigFolder) -> None:
    """They are on every answer, in the place of any other of that name; an empty one is unset."""
    file = (
        "http_server_config: {headers: {Content-Security-Policy: frame-ancestors 'self', "
        "X-Frame-Options: sameorigin, Strict-Transport-Security: max-age=60, X-XSS-Protection: ''}}"
    )
    with served(folder, file) as server:
        for path in ("/", "/strict", "/missing"):
            headers = server.ask(path).headers
            assert headers["content-security-policy"] == "frame-ancestors 'self'"
            assert headers["x-frame-options"] == "sameorigin"
            assert headers["strict-transport-security"] == "max-age=60"
            assert "x-xss-protection" not in headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (basic_auth_header(), 200),
        (basic_auth_header(password="wrong"), 401),
        (basic_auth_header(user="nobody"), 401),
        ({"Authorization": "Basic !"}, 401),
        ({"Authorization": "Bearer token"}, 401),
    ],
)
def test_users(folder: WebConfigFolder, headers: dict[str, str], status: int) -> None:
    """Who has the password gets every page, and who has not gets none, the health pages neither."""
    with served(folder, f"basic_auth_users: {{{USER}: '{PASSWORD_HASH}'}}") as server:
        for path in ("/", "/-/healthy"):
            answer = server.ask(path, headers=headers)
            assert answer.status == status
            if status == 401:
                assert answer.body == b"Unauthorized\n"
                assert answer.headers["www-authenticate"].startswith("Basic realm=")


def test_two_logins_are_none(folder: WebConfigFolder) -> None:
    """What one of two headers says might be taken for what the other says elsewhere."""
    line = "\r\n".join(f"{name}: {value}" for name, value in basic_auth_header().items())
    with served(folder, f"basic_auth_users: {{{USER}: '{PASSWORD_HASH}'}}") as server:
        asked = f"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}\r\n{line}\r\n\r\n"
        with server.connect(asked.encode()) as client, client.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 401 ")


def test_passwords_are_checked_beside_the_answers(
    folder: WebConfigFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is checked, others are answered; too many of them are told to come later."""
    monkeypatch.setattr(module, "MAX_PENDING_CHECKS", 1)
    guard = SecurityState(
        load_security(folder.write(f"basic_auth_users: {{{USER}: '{PASSWORD_HASH}'}}")).config
    )
    begun, go_on = threading.Event(), threading.Event()
    known = guard.config.users
    assert known.verify(USER.encode(), PASSWORD.encode())

    def slow(*_: bytes) -> bool:
        begun.set()
        return not go_on.wait(BOUND)

    monkeypatch.setattr(known, "verify", slow)
    statuses: list[int] = []
    with guarded(guard) as server:
        wrong = basic_auth_header(password="wrong")

        def ask() -> None:
            statuses.append(server.ask("/", headers=wrong).status)

        thread = threading.Thread(target=ask)
        thread.start()
        assert begun.wait(BOUND)
        assert server.ask("/", headers=basic_auth_header()).status == 200
        assert server.ask("/", headers=wrong).status == 503
        go_on.set()
        thread.join(BOUND)
    assert statuses == [401]


def test_a_limit_on_requests(folder: WebConfigFolder) -> None:
    """So many at once, of all clients together; the rest is told so."""
    with served(folder, "rate_limit: {interval: 1h, burst: 3}") as server:
        assert [server.ask("/").status for _ in range(5)] == [200, 200, 200, 429, 429]


def test_a_bucket_fills_with_time() -> None:
    """One more after each interval, and never more than the burst."""
    now = [0.0]
    bucket = TokenBucket(10.0, 2, lambda: now[0])
    taken = []
    for at in (0, 0, 0, 9, 10, 11, 100, 100, 100):
        now[0] = at
        taken.append(bucket.take())
    assert taken == [True, True, False, False, True, False, True, True, False]


def test_secured(folder: WebConfigFolder) -> None:
    """By the newest version both know; who does not speak TLS gets no answer."""
    with served(folder, f"{TLS}}}") as server:
        assert securely(server, trusting(folder)).status == 200
        with handshake(server, trusting(folder)) as client:
            assert client.version() == "TLSv1.3"
        old = trusting(folder, maximum_version=ssl.TLSVersion.TLSv1_2)
        with handshake(server, old) as client:
            assert client.version() == "TLSv1.2"
        assert refuses(server, ssl.create_default_context())
        plain = server.connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with plain, contextlib.suppress(ConnectionResetError):
            assert not plain.recv(100).startswith(b"HTTP")


def test_a_request_that_comes_with_the_handshake_is_answered(folder: WebConfigFolder) -> None:
    """A client need not wait for anything before it asks."""
    with served(folder, f"{TLS}}}") as server:
        for _ in range(20):
            handshake(server, trusting(folder)).close()


def test_versions(folder: WebConfigFolder) -> None:
    """What is older than the oldest, or newer than the newest, is not spoken."""
    for only, other in (("TLS12", "TLSv1_3"), ("TLS13", "TLSv1_2")):
        with served(folder, f"{TLS}, min_version: {only}, max_version: {only}}}") as server:
            version = ssl.TLSVersion[other]
            assert refuses(
                server, trusting(folder, minimum_version=version, maximum_version=version)
            )
            assert not refuses(server, trusting(folder))


def test_ciphers_and_their_order(folder: WebConfigFolder) -> None:
    """Only those on the list, in the server's order or in the client's."""
    names = ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256")
    suites = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"

    def client(*ciphers: str) -> ssl.SSLContext:
        context = trusting(folder, maximum_version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(":".join(ciphers))
        return context

    for prefers, chosen in (("true", names[0]), ("false", names[1])):
        file = f"{TLS}, cipher_suites: [{suites}], prefer_server_cipher_suites: {prefers}}}"
        with served(folder, file) as server:
            with handshake(server, client(*reversed(names))) as secured:
                cipher = secured.cipher()
                assert cipher is not None
                assert cipher[0] == chosen
            assert refuses(server, client("ECDHE-ECDSA-CHACHA20-POLY1305"))


def test_the_curve(folder: WebConfigFolder) -> None:
    """Who does not know it is not let in."""
    with served(folder, f"{TLS}, curve_preferences: [CurveP521]}}") as server:
        for curve, is_refused in (("secp521r1", False), ("prime256v1", True)):
            context = trusting(folder)
            context.set_ecdh_curve(curve)
            assert refuses(server, context) is is_refused


def with_certificate(folder: WebConfigFolder, issued: trustme.LeafCert) -> ssl.SSLContext:
    """A client's context with a certificate of its own."""
    context = trusting(folder)
    issued.configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("policy", "without", "stranger"),
    [
        ("", False, False),
        (", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem", False, True),
        (f", {VERIFIES}", True, True),
    ],
)
def test_clients_certificates(
    folder: WebConfigFolder, policy: str, without: bool, stranger: bool
) -> None:
    """Needed, or verified if there is one, or not asked for."""
    other = trustme.CA().issue_cert("client.test")
    with served(folder, f"{TLS}{policy}}}") as server:
        assert refuses(server, trusting(folder)) is without
        assert refuses(server, with_certificate(folder, other)) is stranger
        assert not refuses(server, with_certificate(folder, folder.client))


@pytest.mark.parametrize(
    ("names", "is_refused"),
    [
        ("[client.test]", False),
        ("['::1']", False),
        ("[nobody.test, client@example.com]", False),
        ("[CLIENT.test, '*.test', localhost]", True),
        ("[]", True),
    ],
)
def test_names_of_clients(folder: WebConfigFolder, names: str, is_refused: bool) -> None:
    """One of the names in the certificate has to be on the list, letter for letter."""
    with served(folder, f"{TLS}, {VERIFIES}, client_allowed_sans: {names}}}") as server:
        assert refuses(server, with_certificate(folder, folder.client)) is is_refused


def test_silent_handshakes_stall_nobody_and_end(
    folder: WebConfigFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections on which nothing is said are let go; others are as quick as before."""
    monkeypatch.setitem(TIMEOUTS, ConnectionState.HANDSHAKE, 0.3)
    with served(folder, f"{TLS}}}") as server:
        silent = [server.connect(sent) for sent in [b"", b"\x16", b"\x16\x03\x01\x02"] * 30]
        begun = time.monotonic()
        assert securely(server, trusting(folder)).status == 200
        assert time.monotonic() - begun < 2
        for each in silent:
            with each, contextlib.suppress(ConnectionResetError):
                while each.recv(100):
                    pass


def test_open_handshakes_do_not_delay_the_end(folder: WebConfigFolder) -> None:
    """Whoever is not in yet when the server ends is cut off."""
    with served(folder, f"{TLS}}}") as server, server.connect(b"\x16"):
        assert securely(server, trusting(folder)).status == 200
        begun = time.monotonic()
        server.end()
        assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    ("after", "renewed", "stays"),
    [
        (f"{TLS}}}", False, True),
        (f"{TLS}}}\nhttp_server_config: {{headers: {{}}}}", False, True),
        (f"{TLS}}}", True, False),
        (f"{TLS}, min_version: TLS13}}", False, False),
        ("", False, False),
    ],
)
def test_certificates_that_are_replaced(
    folder: WebConfigFolder, after: str, renewed: bool, stays: bool
) -> None:
    """Connections that are open get one more answer, and are closed if they are not as new ones."""
    guard = SecurityState(load_security(folder.write(f"{TLS}}}")).config)
    with guarded(guard) as server:
        kept = http.client.HTTPSConnection(
            "localhost", server.port, context=trusting(folder), timeout=BOUND
        )
        kept.request("GET", "/")
        assert kept.getresponse().read() == b"hello"
        if renewed:
            folder.renew()
        guard.replace(load_security(folder.write(after)).config)
        kept.request("GET", "/")
        answer = kept.getresponse()
        assert answer.read() == b"hello"
        assert (answer.getheader("Connection") == "close") is not stays
        kept.close()
        if guard.tls:
            assert securely(server, trusting(folder)).status == 200
        else:
            assert server.ask("/").status == 200


def test_users_that_are_replaced(folder: WebConfigFolder) -> None:
    """From the next request on, on open connections too; what was checked is not forgotten."""
    guard = SecurityState(
        load_security(folder.write(f"basic_auth_users: {{{USER}: '{PASSWORD_HASH}'}}")).config
    )
    with guarded(guard) as server:
        assert server.ask("/", headers=basic_auth_header()).status == 200
        known = guard.config.users
        guard.replace(load_security(folder.file).config)
        assert guard.config.users is known
        guard.replace(
            load_security(
                folder.write(f"basic_auth_users: {{{USER}: '{OTHER_PASSWORD_HASH}'}}")
            ).config
        )
        assert server.ask("/", headers=basic_auth_header()).status == 401
        assert server.ask("/", headers=basic_auth_header(password="another")).status == 200
        guard.replace(load_security(folder.write("")).config)
        assert server.ask("/").status == 200


def test_a_limit_that_is_read_again_counts_on(folder: WebConfigFolder) -> None:
    """Reading the same file again lets nobody in again."""
    guard = SecurityState(
        load_security(folder.write("rate_limit: {interval: 1h, burst: 1}")).config
    )
    with guarded(guard) as server:
        assert server.ask("/").status == 200
        guard.replace(load_security(folder.file).config)
        assert server.ask("/").status == 429
        guard.replace(load_security(folder.write("rate_limit: {interval: 2h, burst: 1}")).config)
        assert server.ask("/").status == 200
