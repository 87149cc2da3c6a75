"""What the environment says about the way to a server, read as requests reads it."""

from dataclasses import dataclass, field

import requests
from requests.utils import select_proxy

from exporter.auth.base import ClientTls


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The proxy to go through, with the password it may hold, and the certificates to use."""

    proxy: str | None = field(repr=False)
    verify: bool | str
    cert: str | tuple[str, str] | None


def proxy_settings_for(url: str, tls: ClientTls) -> ProxySettings:
    """The way to ``url``: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``, CA bundle.

    ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE`` count where ``tls`` asks for verification and
    names no bundle. Looks at the environment, so call it once per cloud and keep the result.
    """
    with requests.Session() as session:
        settings = session.merge_environment_settings(url, {}, None, tls.verify, tls.cert)
    proxy = select_proxy(url, settings["proxies"])
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    verify = True if settings["verify"] is None else settings["verify"]
    return ProxySettings(proxy or None, verify, settings["cert"])
