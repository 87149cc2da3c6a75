"""Proxies, TLS and name resolution between the exporter and the Image service."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from exporter.clock import steady
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport import connection
from exporter.transport.proxies import ProxySettings
from exporter.transport.resolver import Address, Resolver
from tests.support.fakes.proxy import FakeProxy
from tests.support.polled_cloud import image_service, polled_cloud, threads
from tests.support.wait import wait_until

IDS = ["a", "b", "c"]


def through(proxy: FakeProxy) -> ProxySettings:
    """Return the settings of a proxy."""
    return ProxySettings(proxy=proxy.url, verify=True, cert=None)


@pytest.fixture
def service() -> Iterator[SimulatedImageService]:
    """Run a service with three images."""
    with image_service(IDS) as running:
        yield running


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority that the exporter trusts."""
    return trustme.CA()


@pytest.fixture(scope="module")
def bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a file with the certificate of the authority."""
    path: Path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def secure(authority: trustme.CA, not_after: datetime | None = None) -> SimulatedImageService:
    """Run a service with TLS and a certificate of this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=not_after).configure_cert(context)
    return SimulatedImageService([SimulatedImage(image_id) for image_id in IDS], tls=context)


def test_forward_proxy_gets_absolute_urls(service: SimulatedImageService) -> None:
    with FakeProxy() as proxy, polled_cloud(service.url, IDS, route=through(proxy)) as lab:
        lab.cycle()
        service.images.delete("a")
        lab.cycle()
        assert lab.exists() == {"a": False, "b": True, "c": True}
        assert f"HEAD {service.url}/v1/images/b HTTP/1.1" in proxy.first_lines
        assert len(proxy.first_lines) == service.log.requests


def test_proxy_password_is_sent_as_a_header(service: SimulatedImageService) -> None:
    with FakeProxy() as proxy:
        route = ProxySettings(proxy.url.replace("//", "//user:secret@"), verify=True, cert=None)
        with polled_cloud(service.url, ["a"], route=route) as lab:
            lab.cycle()
            assert lab.reasons() == {"a": ""}
        assert "proxy-authorization: basic " in proxy.heads[0].lower()


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "unconfirmed"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "rejected"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "server_error"),
    ],
    ids=["404", "407", "502"],
)
def test_response_of_the_proxy_itself_takes_no_image(
    service: SimulatedImageService, response: bytes, reason: str
) -> None:
    with FakeProxy() as proxy, polled_cloud(service.url, IDS, route=through(proxy)) as lab:
        lab.cycle()
        proxy.response = response
        for _ in range(2):
            lab.cycle()
            assert set(lab.reasons().values()) == {reason}
            assert set(lab.exists().values()) == {True}
            assert lab.state.api_up is False
        proxy.response = b""
        lab.cycle()
        assert set(lab.reasons().values()) == {""}


def test_proxy_that_is_down_is_a_connection_failure(service: SimulatedImageService) -> None:
    with FakeProxy() as proxy:
        route = through(proxy)
    with polled_cloud(service.url, IDS, route=route) as lab:
        lab.cycle()
        assert lab.reasons() == dict.fromkeys(IDS, "connection")
        assert set(lab.exists().values()) == {None}


def test_tls_through_a_tunnel(authority: trustme.CA, bundle: str) -> None:
    """The proxy sees no path."""
    with secure(authority) as service, FakeProxy() as proxy:
        with polled_cloud(service.url, IDS, route=ProxySettings(proxy.url, bundle, None)) as lab:
            lab.cycle()
            assert lab.reasons() == dict.fromkeys(IDS, "")
        assert {line.split(" ")[0] for line in proxy.first_lines} == {"CONNECT"}


@pytest.mark.parametrize("code", [404, 407, 503])
def test_refused_tunnel_is_a_connection_failure(
    authority: trustme.CA, bundle: str, code: int
) -> None:
    """A 404 to CONNECT is not the Image service's."""
    response = f"HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n".encode()
    with secure(authority) as service, FakeProxy(response) as proxy:
        with polled_cloud(service.url, ["a"], route=ProxySettings(proxy.url, bundle, None)) as lab:
            lab.cycle()
            assert lab.reason("a") == "connection"
            assert f"CONNECT with HTTP {code}" in (lab.observation("a").failure or proxy).detail  # type: ignore[union-attr]  # asserted above
        assert service.log.requests == 0


def test_silent_proxy_is_a_timeout(authority: trustme.CA, bundle: str) -> None:
    with (
        secure(authority) as service,
        FakeProxy(silent=True) as proxy,
        polled_cloud(
            service.url, ["a"], route=ProxySettings(proxy.url, bundle, None), timeout=0.1
        ) as lab,
    ):
        began = steady()
        lab.cycle()
        assert lab.reason("a") == "timeout"
        assert steady() - began < 1.5


def test_tls_connection_is_reused(authority: trustme.CA, bundle: str) -> None:
    with secure(authority) as service:
        with polled_cloud(
            service.url, IDS, route=ProxySettings(None, bundle, None), concurrency=1
        ) as lab:
            lab.cycle()
            lab.cycle()
            assert lab.reasons() == dict.fromkeys(IDS, "")
        assert service.log.connections_opened == 1


def test_untrusted_or_expired_certificate_is_a_tls_failure(
    authority: trustme.CA, bundle: str
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for served in (secure(trustme.CA()), secure(authority, not_after=yesterday)):
        with served as service:
            with polled_cloud(service.url, IDS, route=ProxySettings(None, bundle, None)) as lab:
                lab.cycle()
                assert lab.reasons() == dict.fromkeys(IDS, "tls")
            assert service.log.requests == 0
            wait_until(lambda: service.log.connections_open == 0)


def test_hanging_handshake_is_a_timeout(bundle: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with polled_cloud(url, ["a"], route=ProxySettings(None, bundle, None), timeout=0.1) as lab:
            began = steady()
            lab.cycle()
            assert lab.reason("a") == "timeout"
            assert steady() - began < 1.5


def test_service_is_polled_again_once_its_port_is_open(service: SimulatedImageService) -> None:
    with polled_cloud(service.url, IDS) as lab:
        lab.cycle()
        service.stop()
        lab.cycle()
        assert lab.reasons() == dict.fromkeys(IDS, "connection")
        assert set(lab.exists().values()) == {True}
        assert lab.state.api_up is False
        service.start()
        lab.cycle()
        assert lab.reasons() == dict.fromkeys(IDS, "")
        assert lab.state.api_up is True


def test_connection_that_is_never_accepted_is_a_timeout() -> None:
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with polled_cloud(url, ["a"], timeout=0.1) as lab:
            lab.cycle()
            assert lab.reason("a") == "timeout"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> "FakeResolver":
    """Replace name resolution by one that the test controls."""
    resolver = FakeResolver()
    monkeypatch.setattr(connection, "RESOLVER", Resolver(resolver.lookup))
    return resolver


class FakeResolver:
    """Name resolution that fails, hangs or succeeds."""

    def __init__(self) -> None:
        self.fails = False
        self.go_on = threading.Event()
        self.go_on.set()
        self.calls = 0

    def lookup(self, _host: str, port: int, **_: object) -> list[Address]:
        """Return 127.0.0.1 for any name."""
        self.calls += 1
        self.go_on.wait(60)
        if self.fails:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def test_unknown_host_name_is_a_connection_failure(
    service: SimulatedImageService, names: FakeResolver
) -> None:
    names.fails = True
    with polled_cloud(service.url.replace("127.0.0.1", "glance.test"), IDS) as lab:
        lab.cycle()
        assert lab.reasons() == dict.fromkeys(IDS, "connection")
        names.fails = False
        lab.cycle()
        assert lab.reasons() == dict.fromkeys(IDS, "")


def test_hanging_name_resolution_blocks_one_thread_and_no_poll(
    service: SimulatedImageService, names: FakeResolver
) -> None:
    names.go_on.clear()
    with polled_cloud(
        service.url.replace("127.0.0.1", "glance.test"), IDS, timeout=0.1, interval=1.0
    ) as lab:
        began = steady()
        lab.cycle()
        assert steady() - began < 2.0
        assert lab.reasons() == dict.fromkeys(IDS, "timeout")
        assert names.calls == 1
        wait_until(lambda: threads() == ["resolve-glance.test"])
        names.go_on.set()
        wait_until(lambda: not threads())
        lab.cycle()
        assert lab.reasons() == dict.fromkeys(IDS, "")
