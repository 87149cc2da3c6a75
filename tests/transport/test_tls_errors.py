"""Tests of the explanation of a failed verification, with handshakes over real sockets."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from exporter.clock import steady
from exporter.simulator import SimulatedImageService
from exporter.transport.connector import Connector
from exporter.transport.http1 import RequestFailed
from exporter.transport.proxies import ProxySettings
from exporter.transport.tls_errors import explain_tls_error

TIMEOUT = 10.0
CURE = "by cacert of clouds.yaml or REQUESTS_CA_BUNDLE"


@pytest.fixture(scope="module")
def service() -> Iterator[SimulatedImageService]:
    """Return a service with a certificate of an authority that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with SimulatedImageService(tls=context) as simulated_service:
        yield simulated_service


def tls_failure(url: str, verify: bool | str) -> RequestFailed:
    """Return the failure to connect."""
    connector = Connector(url, ProxySettings(None, verify, None))
    with pytest.raises(RequestFailed) as caught:
        connector.connect(connector.create(steady() + TIMEOUT))
    connector.close()
    assert caught.value.reason == "tls"
    return caught.value


def test_default_authorities_are_named(service: SimulatedImageService) -> None:
    detail = tls_failure(service.url, verify=True).detail
    assert f"the authorities in {DEFAULT_CA_BUNDLE_PATH} were consulted" in detail
    assert CURE in detail


def test_configured_bundle_is_named(service: SimulatedImageService, tmp_path: Path) -> None:
    bundle = tmp_path / "other-ca.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    detail = tls_failure(service.url, str(bundle)).detail
    assert f"the authorities in {bundle} were consulted" in detail


def test_wrong_host_name_needs_no_other_authority(tmp_path: Path) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("glance.example.org").configure_cert(context)
    with SimulatedImageService(tls=context) as simulated_service:
        detail = tls_failure(simulated_service.url, str(bundle)).detail
    assert "127.0.0.1" in detail
    assert CURE not in detail


def test_certificate_that_only_strict_checks_refuse_is_explained() -> None:
    error = strict_error()
    assert "Missing Authority Key Identifier" in str(error)
    assert "Python 3.13 and later check certificates more strictly" in explain_tls_error(
        error, verify=True
    )


def test_other_errors_have_no_explanation() -> None:
    assert explain_tls_error(ssl.SSLError("wrong version number"), verify=True) == ""


def strict_error() -> ssl.SSLCertVerificationError:
    """Return the error of a strict handshake with a certificate without identifiers of keys."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = certificate("authority", authority_key, authority_key, is_authority=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = certificate("leaf", key, authority_key, is_authority=False)
    with trustme.Blob(leaf + pem_key(key)).tempfile() as path:
        server.load_cert_chain(path)
    client = ssl.create_default_context(cadata=authority.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()

    def handshake() -> None:
        with pytest.raises(ssl.SSLError):
            server.wrap_socket(theirs, server_side=True)

    thread = threading.Thread(target=handshake)
    thread.start()
    with pytest.raises(ssl.SSLCertVerificationError) as caught, ours:
        client.wrap_socket(ours, server_hostname="127.0.0.1")
    thread.join()
    theirs.close()
    return caught.value


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signing_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> bytes:
    """Return a certificate without identifiers of keys, signed by the authority, as PEM text."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named("authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
    )
    signed = builder.sign(signing_key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def named(name: str) -> x509.Name:
    """Return a distinguished name."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as PEM text."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
