"""HTTP session of one authentication attempt, with a deadline for all its requests together."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from exporter.auth.base import AuthError
from exporter.text import single_line
from exporter.transport.proxies import proxy_settings_for
from exporter.transport.tls_errors import explain_tls_error
from exporter.transport.tls_files import ClientTls, TlsFileError, check_tls_files

ABORT_INTERVAL = 1.0
"""Seconds after which connections that were opened after the deadline are aborted as well."""

MAX_TARGET = 120
"""Characters of the target of a redirect in an error."""

_CUT_OFF = "the deadline passed before the end of the response"

_REDIRECTS = frozenset({301, 302, 303, 305, 307, 308})
"""Status codes after which keystoneauth sends the same request, with the password, again."""


class DeadlineSession(requests.Session):
    """Session whose connections are aborted ``timeout`` seconds after it was created.

    The timeout of requests starts again with every byte, so a server that sends one now and then
    could prolong an attempt forever. ``~/.netrc`` is never read. Proxies and CA bundles of the
    environment are used.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self.trust_env = False  # the only way to keep requests from reading ~/.netrc
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._closed = threading.Event()
        self._adapter = _AbortableAdapter()
        self.mount("http://", self._adapter)
        self.mount("https://", self._adapter)
        threading.Thread(target=self._abort_late, name="sign-in-deadline", daemon=True).start()

    @property
    def timed_out(self) -> bool:
        """True if the deadline has passed."""
        return time.monotonic() >= self._deadline

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> Any:
        """Send a request as ``requests.Session`` does, before the deadline.

        Raises:
            requests.Timeout: The deadline has passed.
            AuthError: The response is a redirect that leaves https or the host.
            requests.exceptions.SSLError: TLS failed, or a file for it cannot be read; its note is
                the explanation, if there is one.
        """
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise requests.Timeout("no time is left")
        settings = proxy_settings_for(
            str(url), ClientTls(kwargs.get("verify", True), kwargs.get("cert"))
        )
        kwargs.update(timeout=remaining, verify=settings.verify, cert=settings.cert)
        try:
            check_tls_files(ClientTls(settings.verify, settings.cert))
        except TlsFileError as error:
            raise requests.exceptions.SSLError(str(error)) from None
        # keystoneauth follows redirects itself, after the check below.
        kwargs["allow_redirects"] = False
        kwargs["proxies"] = {"all": settings.proxy} if settings.proxy else {}
        try:
            response = super().request(method, url, *args, **kwargs)
        except requests.exceptions.SSLError as error:
            error.add_note(explain_tls_error(error, settings.verify))
            raise
        except requests.ConnectionError as error:
            # To http.client, a status line that was cut off looks malformed.
            if self.timed_out:
                raise requests.Timeout(_CUT_OFF) from error
            raise
        if self.timed_out:  # to http.client, headers that were cut off look complete
            raise requests.Timeout(_CUT_OFF)
        if response.status_code in _REDIRECTS and "Location" in response.headers:
            # keystoneauth follows absolute URLs only.
            response.headers["Location"] = _safe_target(str(url), response.headers["Location"])
        return response

    def abort(self) -> None:
        """Abort the request in progress, from any thread."""
        self._deadline = time.monotonic()
        self._adapter.abort_connections()

    def close(self) -> None:
        """Close the connections."""
        self._closed.set()
        super().close()

    def _abort_late(self) -> None:
        wait = self._timeout
        while not self._closed.wait(wait):
            self._adapter.abort_connections()
            wait = ABORT_INTERVAL


def _safe_target(url: str, location: str) -> str:
    """Return the URL that a redirect leads to.

    Raises:
        AuthError: Following it would send the credentials to plain http or to another host.
    """
    target = urljoin(url, location)
    source, destination = urlsplit(url), urlsplit(target)
    if source.scheme == "https" != destination.scheme:
        fault = "which is not https"
    elif source.hostname != destination.hostname:
        fault = "which is another host"
    else:
        return target
    shown = single_line(f"{destination.scheme}://{_host_and_port(destination)}", MAX_TARGET)
    raise AuthError(
        "rejected",
        f"sign-in at {_host_and_port(source)} is redirected to {shown}, {fault}: not followed, "
        "because the request contains the credentials; correct auth_url, or the proxy in front of "
        "Keystone",
    )


def _host_and_port(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


class _AbortableAdapter(HTTPAdapter):
    """Adapter that keeps track of the connections that it opened."""

    def __init__(self) -> None:
        self._connections: list[Any] = []
        super().__init__(max_retries=0)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if "ConnectionCls" not in vars(pool):
            pool.ConnectionCls = self._tracked(pool.ConnectionCls)
        return pool

    def abort_connections(self) -> None:
        for connection in list(self._connections):
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    # SSLSocket.shutdown would also discard the TLS state, which the thread that
                    # reads from it is still using.
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def _tracked(self, connection_class: Callable[..., Any]) -> Callable[..., Any]:
        def create(*args: Any, **kwargs: Any) -> Any:
            connection = connection_class(*args, **kwargs)
            self._connections.append(connection)
            return connection

        return create
