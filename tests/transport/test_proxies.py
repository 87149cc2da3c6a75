"""Tests of exporter.glance.environment."""

import pytest

from exporter.transport.proxies import ProxySettings, proxy_settings_for
from exporter.transport.tls_files import ClientTls
from tests.auth.clouds import clean


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    clean(monkeypatch)


def test_without_variables_the_way_is_direct() -> None:
    """Nothing in the environment, nothing in the route."""
    assert proxy_settings_for("https://cloud", ClientTls()) == ProxySettings(None, True, None)


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({"HTTPS_PROXY": "http://p:3128"}, "https://cloud", "http://p:3128"),
        ({"https_proxy": "p:3128"}, "https://cloud", "http://p:3128"),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://cloud", None),
        ({"ALL_PROXY": "http://p"}, "http://cloud", "http://p"),
        ({"HTTP_PROXY": "http://p", "NO_PROXY": "cloud"}, "http://cloud:9292", None),
        ({"HTTP_PROXY": "http://p", "NO_PROXY": ".example.com"}, "http://a.example.com", None),
        ({"HTTP_PROXY": "http://p", "NO_PROXY": "192.0.2.0/24"}, "http://192.0.2.7", None),
        ({"HTTP_PROXY": "http://p", "NO_PROXY": "*"}, "http://cloud", None),
        ({"HTTP_PROXY": "http://p", "NO_PROXY": "other"}, "http://cloud", "http://p"),
        ({"HTTP_PROXY": ""}, "http://cloud", None),
    ],
)
def test_proxies(
    variables: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy for the scheme counts, unless the host is excepted."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_settings_for(url, ClientTls()).proxy == proxy


@pytest.mark.parametrize(
    ("verify", "variables", "expected"),
    [
        (True, {"REQUESTS_CA_BUNDLE": "/r", "CURL_CA_BUNDLE": "/c"}, "/r"),
        (True, {"CURL_CA_BUNDLE": "/c"}, "/c"),
        (False, {"REQUESTS_CA_BUNDLE": "/r"}, False),
        ("/mine", {"REQUESTS_CA_BUNDLE": "/r"}, "/mine"),
    ],
)
def test_ca_bundles(
    verify: bool | str,
    variables: dict[str, str],
    expected: bool | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bundle of the environment stands in for the default one, and for nothing else."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = proxy_settings_for("https://cloud", ClientTls(verify, ("cert", "key")))
    assert (found.verify, found.cert) == (expected, ("cert", "key"))


def test_a_password_in_a_proxy_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A route can be logged."""
    monkeypatch.setenv("HTTP_PROXY", "http://user:hunter2@proxy")
    found = proxy_settings_for("http://cloud", ClientTls())
    assert found.proxy == "http://user:hunter2@proxy"
    assert "hunter2" not in repr(found)
