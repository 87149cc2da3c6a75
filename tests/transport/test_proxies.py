import pytest

from exporter.transport.proxies import ProxySettings, proxy_settings_for
from exporter.transport.tls_files import ClientTls
from tests.support.clouds_yaml import clear_configuration


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_configuration(monkeypatch)


def test_no_proxy_without_variables() -> None:
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
def test_proxy_of_the_scheme_is_used_unless_no_proxy_matches(
    variables: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_ca_bundle_of_the_environment_replaces_only_the_default(
    verify: bool | str,
    variables: dict[str, str],
    expected: bool | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = proxy_settings_for("https://cloud", ClientTls(verify, ("cert", "key")))
    assert (settings.verify, settings.cert) == (expected, ("cert", "key"))


def test_repr_has_no_proxy_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:hunter2@proxy")
    settings = proxy_settings_for("http://cloud", ClientTls())
    assert settings.proxy == "http://user:hunter2@proxy"
    assert "hunter2" not in repr(settings)
