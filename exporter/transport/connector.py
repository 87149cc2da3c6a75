"""Opening of connections to one endpoint, with TLS, proxy and certificates.

requests' adapter and urllib3's pool open the connections: they implement TLS, client certificates,
CA bundles and proxies. Requests and responses are sent and read by ``http1``.
"""

from socket import gaierror
from ssl import SSLError
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3.connection
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.exceptions import SSLError as WrappedSSLError

from exporter.clock import steady
from exporter.redaction import redact
from exporter.text import single_line
from exporter.transport.connection import DeadlineHTTPConnection, DeadlineHTTPSConnection
from exporter.transport.http1 import RequestFailed
from exporter.transport.proxies import ProxySettings
from exporter.transport.tls_errors import explain_tls_error
from exporter.transport.tls_files import ClientTls, TlsFileError, check_tls_files
from exporter.transport.url import without_default_port

MAX_DETAIL = 300
"""Characters of a library's error in the detail of a failure."""

CONNECTION_CLASSES = {
    urllib3.connection.HTTPConnection: DeadlineHTTPConnection,
    urllib3.connection.HTTPSConnection: DeadlineHTTPSConnection,
}
"""Replacements of urllib3's connection classes. Others (SOCKS) are used unchanged."""


class Connector:
    """Opens connections to one endpoint, directly or through a proxy.

    Attributes:
        host: Value of the Host header.
        target_prefix: Part of the request target before the path of a request.
        proxy_headers: Additional headers of each request, for the proxy.
    """

    def __init__(self, base_url: str, proxy_settings: ProxySettings) -> None:
        """Prepare urllib3's pool.

        Raises:
            ValueError: The URL, the proxy or a certificate cannot be used.
        """
        url = without_default_port(base_url)
        prepared = requests.Request("HEAD", url + "/").prepare()
        proxy = proxy_settings.proxy
        proxies = {"all": proxy} if proxy else {}
        self._tls = ClientTls(proxy_settings.verify, proxy_settings.cert)
        self._adapter = HTTPAdapter(pool_maxsize=1)
        # Any: the annotations of urllib3's pools fit neither mypy nor all of its versions.
        self._urllib3_pool: Any = _create_urllib3_pool(
            self._adapter, prepared, proxies, proxy_settings
        )
        # The prepared URL has the IDNA form of the host name.
        parts = urlsplit(prepared.url or "")
        self.host = parts.netloc.rpartition("@")[2]
        # A request for an http URL through a proxy has the whole URL as its target.
        target = self._adapter.request_url(prepared, proxies)
        self.target_prefix = target.removesuffix("/").encode()
        self.proxy_headers: dict[str, str] = (
            self._adapter.proxy_headers(proxy) if proxy and parts.scheme == "http" else {}
        )

    def create(self, deadline: float) -> Any:
        """Return a connection that is not open yet, to be connected by ``deadline``."""
        # urllib3 has no public way to get an unmanaged connection.
        connection = self._urllib3_pool._new_conn()
        connection.deadline = deadline
        connection.timeout = max(deadline - steady(), 0.001)
        return connection

    def connect(self, connection: Any) -> None:
        """Open a connection that ``create`` returned.

        Raises:
            RequestFailed: The connection cannot be established.
        """
        uses_tls = self._urllib3_pool.scheme == "https"
        try:
            if uses_tls:
                check_tls_files(self._tls)
            if self._urllib3_pool.proxy is not None and uses_tls:
                self._urllib3_pool._prepare_proxy(connection)
            else:
                connection.connect()
        except Exception as error:  # noqa: BLE001  # converted if known, raised again otherwise
            raise self._as_request_failed(error) from None

    def close(self) -> None:
        """Release urllib3's resources."""
        self._adapter.close()

    def _as_request_failed(self, error: Exception) -> Exception:
        """Convert a failure to connect to ``RequestFailed``; return other errors unchanged."""
        match error:
            case RequestFailed():
                return error
            case TimeoutError():
                return RequestFailed("timeout", "no connection in time")
            case gaierror() | UnicodeError():
                return RequestFailed("connection", f"the name cannot be resolved: {error}")
            case WrappedSSLError() | SSLError() | TlsFileError():
                explanation = explain_tls_error(error, self._tls.verify)
                return RequestFailed("tls", "; ".join(filter(None, (_detail(error), explanation))))
            case HTTPError() | OSError():
                return RequestFailed("connection", _detail(error))
            case _:
                return error


def _create_urllib3_pool(
    adapter: Any,  # its cert_verify is not annotated
    prepared: requests.PreparedRequest,
    proxies: dict[str, str],
    settings: ProxySettings,
) -> Any:
    try:
        pool = adapter.get_connection_with_tls_context(
            prepared, settings.verify, proxies, settings.cert
        )
        # requests calls cert_verify before each request. Without it, urllib3 uses the system's CAs.
        adapter.cert_verify(pool, prepared.url, settings.verify, settings.cert)
    except (OSError, ValueError) as error:
        # Exceptions of requests are OSErrors, also for a missing CA bundle. urllib3 raises a
        # ValueError for an invalid proxy URL, and quotes its password.
        raise ValueError(_detail(error)) from None
    pool.ConnectionCls = CONNECTION_CLASSES.get(pool.ConnectionCls, pool.ConnectionCls)
    return pool


def _detail(error: Exception) -> str:
    """Return the error on one line. Libraries quote URLs with their passwords."""
    return single_line(redact(str(error)), MAX_DETAIL)
