"""TLS of the web server and client certificates, over real connections."""

import contextlib
import gc
import http.client
import socket
import ssl
import time
from collections.abc import Mapping

import pytest
import trustme

from exporter.web.security.middleware import SecurityState
from exporter.web.security.tls import ServerTls, TlsOptions
from exporter.web.server.http_protocol import TIMEOUTS, ConnectionState
from exporter.web_security import load_security
from tests.support.web_config import TLS, WebConfigFolder
from tests.web.conftest import TEST_TIMEOUT, ServerThread
from tests.web.security.conftest import serving, serving_with

VERIFIES = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"


def client_context(folder: WebConfigFolder, **options: object) -> ssl.SSLContext:
    """Return a client's TLS context that trusts the CA of the folder."""
    context = ssl.create_default_context(cafile=str(folder.path / "ca.pem"))
    for name, value in options.items():
        setattr(context, name, value)
    return context


def get_over_tls(
    server: ServerThread, context: ssl.SSLContext, headers: Mapping[str, str] | None = None
) -> http.client.HTTPResponse:
    """Send a request over TLS."""
    connection = http.client.HTTPSConnection(
        "localhost", server.port, context=context, timeout=TEST_TIMEOUT
    )
    with contextlib.closing(connection):
        connection.request("GET", "/", headers=dict(headers or {}))
        response = connection.getresponse()
        response.read()
        return response


def connect_tls(server: ServerThread, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return a TLS connection on which the server has accepted the client."""
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", server.port)
        plain = stack.enter_context(socket.create_connection(address, timeout=TEST_TIMEOUT))
        secured = context.wrap_socket(plain, server_hostname="localhost")
        stack.enter_context(secured)
        secured.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert secured.recv(9) == b"HTTP/1.1 "
        stack.pop_all()
    return secured


def refuses(server: ServerThread, context: ssl.SSLContext) -> bool:
    """Return True if the server does not accept a client with this context."""
    try:
        connect_tls(server, context).close()
    except (OSError, AssertionError):
        return True
    return False


def test_tls_uses_the_newest_common_version_and_refuses_plain_http(folder: WebConfigFolder) -> None:
    with serving_with(folder, f"{TLS}}}") as server:
        assert get_over_tls(server, client_context(folder)).status == 200
        with connect_tls(server, client_context(folder)) as client:
            assert client.version() == "TLSv1.3"
        old = client_context(folder, maximum_version=ssl.TLSVersion.TLSv1_2)
        with connect_tls(server, old) as client:
            assert client.version() == "TLSv1.2"
        assert refuses(server, ssl.create_default_context())
        plain = server.connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with plain, contextlib.suppress(ConnectionResetError):
            assert not plain.recv(100).startswith(b"HTTP")


def test_request_sent_with_the_handshake_is_served(folder: WebConfigFolder) -> None:
    with serving_with(folder, f"{TLS}}}") as server:
        for _ in range(20):
            connect_tls(server, client_context(folder)).close()


def test_tls_version_limits(folder: WebConfigFolder) -> None:
    for only, other in (("TLS12", "TLSv1_3"), ("TLS13", "TLSv1_2")):
        with serving_with(folder, f"{TLS}, min_version: {only}, max_version: {only}}}") as server:
            version = ssl.TLSVersion[other]
            assert refuses(
                server, client_context(folder, minimum_version=version, maximum_version=version)
            )
            assert not refuses(server, client_context(folder))


def test_cipher_suites_and_their_order(folder: WebConfigFolder) -> None:
    names = ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256")
    suites = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"

    def client(*ciphers: str) -> ssl.SSLContext:
        context = client_context(folder, maximum_version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(":".join(ciphers))
        return context

    for prefers, chosen in (("true", names[0]), ("false", names[1])):
        file = f"{TLS}, cipher_suites: [{suites}], prefer_server_cipher_suites: {prefers}}}"
        with serving_with(folder, file) as server:
            with connect_tls(server, client(*reversed(names))) as secured:
                cipher = secured.cipher()
                assert cipher is not None
                assert cipher[0] == chosen
            assert refuses(server, client("ECDHE-ECDSA-CHACHA20-POLY1305"))


def test_curve_preferences(folder: WebConfigFolder) -> None:
    with serving_with(folder, f"{TLS}, curve_preferences: [CurveP521]}}") as server:
        for curve, is_refused in (("secp521r1", False), ("prime256v1", True)):
            context = client_context(folder)
            context.set_ecdh_curve(curve)
            assert refuses(server, context) is is_refused


def client_context_with_certificate(
    folder: WebConfigFolder, issued: trustme.LeafCert
) -> ssl.SSLContext:
    """Return a client's TLS context with a certificate of its own."""
    context = client_context(folder)
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
def test_client_certificates_are_required_optional_or_ignored(
    folder: WebConfigFolder, policy: str, without: bool, stranger: bool
) -> None:
    other = trustme.CA().issue_cert("client.test")
    with serving_with(folder, f"{TLS}{policy}}}") as server:
        assert refuses(server, client_context(folder)) is without
        assert refuses(server, client_context_with_certificate(folder, other)) is stranger
        assert not refuses(server, client_context_with_certificate(folder, folder.client))


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
def test_client_allowed_sans_match_exactly(
    folder: WebConfigFolder, names: str, is_refused: bool
) -> None:
    with serving_with(folder, f"{TLS}, {VERIFIES}, client_allowed_sans: {names}}}") as server:
        assert refuses(server, client_context_with_certificate(folder, folder.client)) is is_refused


@pytest.mark.parametrize(
    ("names", "has_certificate", "reason"),
    [
        ("[client.test]", False, "the client has none"),
        ("[client.test]", True, "unable to get local issuer certificate"),
        ("[nobody.test]", None, "none of its names is in client_allowed_sans"),
    ],
    ids=["none", "of another CA", "name"],
)
def test_refused_client_certificate_is_logged_with_its_reason(
    folder: WebConfigFolder,
    names: str,
    *,
    has_certificate: bool | None,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    context = client_context(folder)
    if has_certificate is None:
        context = client_context_with_certificate(folder, folder.client)
    elif has_certificate:
        context = client_context_with_certificate(folder, trustme.CA().issue_cert("client.test"))
    with serving_with(folder, f"{TLS}, {VERIFIES}, client_allowed_sans: {names}}}") as server:
        garbage = server.connect(b"no TLS at all\r\n\r\n")
        with garbage, contextlib.suppress(ConnectionResetError):
            while garbage.recv(100):
                pass
        for _ in range(2):
            assert refuses(server, context)
    assert [(record.message, record.fields) for record in caplog.records] == [  # type: ignore[attr-defined]
        (
            "client certificate refused",
            {"reason": reason, "address": "127.0.0.1", "closed_since_start": 1},
        )
    ]


def test_silent_handshakes_time_out_and_do_not_delay_others(
    folder: WebConfigFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TIMEOUTS, ConnectionState.HANDSHAKE, 0.3)
    with serving_with(folder, f"{TLS}}}") as server:
        silent = [server.connect(sent) for sent in [b"", b"\x16", b"\x16\x03\x01\x02"] * 30]
        started = time.monotonic()
        assert get_over_tls(server, client_context(folder)).status == 200
        assert time.monotonic() - started < 0.3 * len(silent) / 2
        for client in silent:
            with client, contextlib.suppress(ConnectionResetError):
                while client.recv(100):
                    pass


def test_open_handshakes_do_not_delay_shutdown(folder: WebConfigFolder) -> None:
    with serving_with(folder, f"{TLS}}}") as server, server.connect(b"\x16"):
        assert get_over_tls(server, client_context(folder)).status == 200
        started = time.monotonic()
        server.shut_down()
        assert time.monotonic() - started < TIMEOUTS[ConnectionState.HANDSHAKE]


def test_shutdown_closes_a_connection_that_its_client_does_not_close(
    folder: WebConfigFolder, caplog: pytest.LogCaptureFixture
) -> None:
    """TLS waits for the client to close after the last response."""
    with (
        serving_with(folder, f"{TLS}}}") as server,
        connect_tls(server, client_context(folder)) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while client.recv(1000):
            pass
        server.shut_down()
        with socket.socket(fileno=client.detach()) as connection:
            connection.settimeout(TEST_TIMEOUT)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(1000):
                    pass
    gc.collect()  # of a connection that was not closed, with a ResourceWarning
    assert caplog.messages == []


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
def test_connection_is_closed_after_a_certificate_change(
    folder: WebConfigFolder, after: str, renewed: bool, stays: bool
) -> None:
    """The connection gets one more response first."""
    security = SecurityState(load_security(folder.write(f"{TLS}}}")).config)
    with serving(security) as server:
        connection = http.client.HTTPSConnection(
            "localhost", server.port, context=client_context(folder), timeout=TEST_TIMEOUT
        )
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello"
        if renewed:
            folder.renew()
        security.replace(load_security(folder.write(after)).config)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.read() == b"hello"
        assert (response.getheader("Connection") == "close") is not stays
        connection.close()
        if security.tls:
            assert get_over_tls(server, client_context(folder)).status == 200
        else:
            assert server.request("/").status == 200


def test_unreadable_address_of_a_client_certificate_matches_nothing() -> None:
    """Python's ssl reports an IP address of wrong length as ``<invalid>``."""
    options = TlsOptions(b"", b"", allowed_sans=frozenset({"10.0.0.1"}))
    tls = ServerTls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), options)
    invalid, valid = ("IP Address", "<invalid>"), ("IP Address", "10.0.0.1")
    assert tls.accepts_client({"subjectAltName": (invalid, valid)})
    assert not tls.accepts_client({"subjectAltName": (invalid,)})
