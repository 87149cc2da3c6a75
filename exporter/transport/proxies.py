"""Proxy and CA bundle from the environment variables that requests reads."""

from dataclasses import dataclass, field

import requests
from requests.utils import select_proxy

from exporter.transport.tls_files import ClientTls


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """Proxy of connections to a server, and the certificates to use.

    Attributes:
        proxy: URL of the proxy, possibly with a password.
        verify: True to verify the server's certificate, or the path of the CA bundle for it.
        cert: A file with certificate and key, or one file of each.
    """

    proxy: str | None = field(repr=False)
    verify: bool | str
    cert: str | tuple[str, str] | None


def proxy_settings_for(url: str, tls: ClientTls) -> ProxySettings:
    """Return the settings for ``url`` from ``tls`` and the environment.

    ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` select the proxy.
    ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE`` apply if ``tls`` requires verification without
    a bundle of its own. Every call reads the environment, so call it once per endpoint.
    """
    with requests.Session() as session:
        settings = session.merge_environment_settings(url, {}, None, tls.verify, tls.cert)
    proxy = select_proxy(url, settings["proxies"])
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    verify = True if settings["verify"] is None else settings["verify"]
    return ProxySettings(proxy or None, verify, settings["cert"])
