"""Probes through proxies and TLS: the connection that a probe names, and how many it uses."""

import re
import ssl
from pathlib import Path

import pytest
import trustme

from exporter.model.replies import ProbeReply
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.transport.proxies import ProxySettings
from tests.glance.clients import FakeAuthenticator, image_client, result_names, soon
from tests.support.fakes.proxy import FakeProxy

CONTROL = "87ee5d5b-599c-4ce0-a5cf-08557f78c2c5"
SUSPECT = "5c1b2f3a-0d6e-4b7c-9a8d-1e2f3a4b5c6d"


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    """The path of a CA bundle."""
    return str(tmp_path / "ca.pem")


@pytest.fixture
def secure_service(bundle: str) -> SimulatedImageService:
    """A service with TLS that has the control, not started yet."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(bundle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return SimulatedImageService([SimulatedImage(CONTROL)], tls=context)


def probe(url: str, settings: ProxySettings) -> ProbeReply:
    """Probe the suspect with these settings, and check the result."""
    with image_client(FakeAuthenticator(url), "v1", proxy_settings=settings) as client:
        reply = client.probe(SUSPECT, CONTROL, soon())
    assert result_names(reply) == ["Found", "NotFound", "Found"]
    assert reply.used_one_connection
    return reply


def remote_address(reply: ProbeReply) -> str:
    """Return the remote address of the connection."""
    match = re.fullmatch(r"local 127\.0\.0\.1:\d+ to (127\.0\.0\.1:\d+)", reply.connection)
    assert match is not None
    return match[1]


def test_probe_through_a_forward_proxy_is_one_connection_to_the_proxy() -> None:
    with SimulatedImageService([SimulatedImage(CONTROL)]) as service, FakeProxy() as proxy:
        reply = probe(service.url, ProxySettings(proxy.url, True, None))
        assert remote_address(reply) == proxy.url.removeprefix("http://")
        assert proxy.first_lines == [
            f"HEAD {service.url}/v1/images/{image_id} HTTP/1.1"
            for image_id in (CONTROL, SUSPECT, CONTROL)
        ]
        assert service.log.connections_opened == 1


def test_probe_through_a_tunnel_is_one_connection_to_the_proxy(
    secure_service: SimulatedImageService, bundle: str
) -> None:
    with secure_service as service, FakeProxy() as proxy:
        reply = probe(service.url, ProxySettings(proxy.url, bundle, None))
        assert remote_address(reply) == proxy.url.removeprefix("http://")
        assert proxy.first_lines == [f"CONNECT 127.0.0.1:{service.port} HTTP/1.1"]


def test_probe_with_tls_is_one_connection_to_the_service(
    secure_service: SimulatedImageService, bundle: str
) -> None:
    with secure_service as service:
        reply = probe(service.url, ProxySettings(None, bundle, None))
        assert remote_address(reply) == f"127.0.0.1:{service.port}"
        assert service.log.connections_opened == 1
