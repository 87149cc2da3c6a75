"""The Host header: a gateway may select a virtual host by its exact value."""

import socket
import ssl
from pathlib import Path

import pytest
import trustme

from exporter.clock import steady
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport import connection
from exporter.transport.http1 import RequestFailed
from exporter.transport.pool import ConnectionPool, HttpRequest
from exporter.transport.proxies import ProxySettings
from exporter.transport.resolver import Address, Resolver
from tests.support.fakes.proxy import FakeProxy

PATH = "/v1/images/a"
TIMEOUT = 10.0


def send(url: str, settings: ProxySettings) -> None:
    """Send one request to the endpoint."""
    pool = ConnectionPool(url, settings, "test/1")
    try:
        pool.send(HttpRequest("HEAD", PATH, steady() + TIMEOUT))
    finally:
        pool.close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Let every name and port lead to this port on loopback."""
    address: Address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
    monkeypatch.setattr(connection, "RESOLVER", Resolver(lambda *_, **__: [address]))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://glance.test", "glance.test"),
        ("https://glance.test:443", "glance.test"),
        ("https://glance.test:0443", "glance.test"),
        ("https://glance.test:80", "glance.test:80"),
        ("https://glance.test:9292", "glance.test:9292"),
    ],
)
def test_host_has_no_default_port_with_tls(
    url: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("glance.test").configure_cert(context)
    with SimulatedImageService([SimulatedImage("a")], tls=context) as service:
        resolve_to(monkeypatch, service.port)
        send(url, ProxySettings(None, str(tmp_path / "ca.pem"), None))
        assert service.log.records[0].request.headers["host"] == host


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://glance.test:80", "glance.test"),
        ("http://glance.test:080/image", "glance.test"),
        ("http://glance.test:443", "glance.test:443"),
        ("http://[2001:db8::1]:80", "[2001:db8::1]"),
        ("http://[2001:db8::1]:81", "[2001:db8::1]:81"),
    ],
)
def test_host_has_no_default_port_without_tls(
    url: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SimulatedImageService([SimulatedImage("a")]) as service:
        resolve_to(monkeypatch, service.port)
        send(url, ProxySettings(None, True, None))
        assert service.log.records[0].request.headers["host"] == host


def test_target_for_a_forward_proxy_has_no_default_port() -> None:
    """The proxy derives Host from the target (RFC 9112, section 3.2.2)."""
    with FakeProxy(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as proxy:
        send("http://glance.test:80/image", ProxySettings(proxy.url, True, None))
        assert proxy.first_lines == [f"HEAD http://glance.test/image{PATH} HTTP/1.1"]
        assert "host: glance.test\r\n" in proxy.heads[0].lower()


def test_tunnel_is_requested_with_the_port() -> None:
    with FakeProxy(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
        with pytest.raises(RequestFailed):
            send("https://glance.test:443", ProxySettings(proxy.url, True, None))
        assert proxy.first_lines == ["CONNECT glance.test:443 HTTP/1.1"]
