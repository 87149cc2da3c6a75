"""Files that exporter-toolkit accepts and that work differently here: each is a warning."""

import logging
import ssl

import pytest

from exporter.web_security import load_security
from tests.support.web_config import TLS, WebConfigFolder

SUITES_OF_TLS13 = "TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256"
SUITE = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> WebConfigFolder:
    """Return a folder with certificates."""
    return WebConfigFolder(tmp_path_factory.mktemp("web"))


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        (f"{TLS}, cipher_suites: [{SUITE}, {SUITES_OF_TLS13}]}}", None),
        (
            f"{TLS}, cipher_suites: [{SUITE}, TLS_RSA_WITH_AES_128_CBC_SHA]}}",
            "suites without forward secrecy are not offered",
        ),
        (f"{TLS}, curve_preferences: [CurveP256]}}", None),
        (
            f"{TLS}, curve_preferences: [CurveP256, CurveP384, X25519, X25519MLKEM768]}}",
            "several curves cannot be selected, offering those of OpenSSL",
        ),
        (
            f"{TLS}, client_auth_type: VerifyClientCertIfGiven}}",
            "client certificates are verified by the authorities of the system",
        ),
        ("rate_limit: {interval: 1s}", "burst is missing, admitting one request at once"),
        ("http_server_config: {headers: {X-XSS-Protection: 1}}", None),
    ],
)
def test_difference_to_the_toolkit_is_a_warning(
    content: str, warning: str | None, folder: WebConfigFolder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        load_security(folder.write(content))
    assert [record.message for record in caplog.records] == ([warning] if warning else [])


def test_number_becomes_the_value_of_a_header(folder: WebConfigFolder) -> None:
    file = folder.write("http_server_config: {headers: {X-XSS-Protection: 1}}")
    assert load_security(file).config.headers == (("X-XSS-Protection", "1"),)


def test_missing_burst_admits_one_request(folder: WebConfigFolder) -> None:
    limit = load_security(folder.write("rate_limit: {interval: 1h}")).config.rate_limit
    assert limit is not None
    assert [limit.take(), limit.take()] == [True, False]


def context(folder: WebConfigFolder, options: str) -> ssl.SSLContext:
    tls = load_security(folder.write(f"{TLS}, {options}}}")).config.tls
    assert tls is not None
    return tls.context


def test_suites_of_tls13_alone_exclude_tls12(folder: WebConfigFolder) -> None:
    """As in Go, which finds no suite for a client of TLS 1.2 then."""
    only_tls13 = context(folder, f"cipher_suites: [{SUITES_OF_TLS13}]")
    assert only_tls13.minimum_version is ssl.TLSVersion.TLSv1_3
    both = context(folder, f"cipher_suites: [{SUITE}, {SUITES_OF_TLS13}]")
    assert both.minimum_version is ssl.TLSVersion.TLSv1_2
    names = [cipher["name"] for cipher in both.get_ciphers() if cipher["protocol"] == "TLSv1.2"]
    assert names == ["ECDHE-RSA-AES128-GCM-SHA256"]


def test_optional_client_certificates_without_a_ca_are_verified_by_the_system(
    folder: WebConfigFolder,
) -> None:
    verifying = context(folder, "client_auth_type: VerifyClientCertIfGiven")
    assert verifying.verify_mode is ssl.CERT_OPTIONAL
