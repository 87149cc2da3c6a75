"""A requests session that lives no longer than it may."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from exporter.transport.proxies import proxy_settings_for
from exporter.transport.tls_files import ClientTls

CUT_AGAIN = 1.0
"""Seconds after which connections opened too late are cut as well."""


class DeadlineSession(requests.Session):
    """All requests of one sign-in, ended together ``timeout`` seconds after the session is made.

    A timeout of requests starts anew with every byte, so a server that sends one now and then
    could hold a sign-in for ever: here the connections are cut. ``~/.netrc`` is never read;
    proxies and CA bundles of the environment are taken over.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self.trust_env = False  # the one way to keep requests from ~/.netrc
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._done = threading.Event()
        self._adapter = _CuttableAdapter()
        self.mount("http://", self._adapter)
        self.mount("https://", self._adapter)
        threading.Thread(target=self._guard, name="sign-in-deadline", daemon=True).start()

    @property
    def late(self) -> bool:
        """Whether time is up."""
        return time.monotonic() >= self._deadline

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> Any:
        """As requests does it, within the time that is left; raises ``requests.Timeout``."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise requests.Timeout("no time is left")
        way = proxy_settings_for(
            str(url), ClientTls(kwargs.get("verify", True), kwargs.get("cert"))
        )
        kwargs.update(timeout=left, verify=way.verify, cert=way.cert)
        kwargs["proxies"] = {"all": way.proxy} if way.proxy else {}
        answer = super().request(method, url, *args, **kwargs)
        if self.late:  # a head that was cut off looks complete to http.client
            raise requests.Timeout("time was up before the end")
        return answer

    def abort(self) -> None:
        """End what is under way now, from any thread."""
        self._deadline = time.monotonic()
        self._adapter.cut()

    def close(self) -> None:
        """Let go of the connections."""
        self._done.set()
        super().close()

    def _guard(self) -> None:
        wait = self._timeout
        while not self._done.wait(wait):
            self._adapter.cut()
            wait = CUT_AGAIN


class _CuttableAdapter(HTTPAdapter):
    """Knows every connection that it opened."""

    def __init__(self) -> None:
        self._connections: list[Any] = []
        super().__init__(max_retries=0)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if "ConnectionCls" not in vars(pool):
            pool.ConnectionCls = self._remembered(pool.ConnectionCls)
        return pool

    def cut(self) -> None:
        for connection in list(self._connections):
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    # Not the SSLSocket's own method, which also takes the TLS state away under
                    # the hands of the thread that reads.
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def _remembered(self, make: Callable[..., Any]) -> Callable[..., Any]:
        def connect(*args: Any, **kwargs: Any) -> Any:
            connection = make(*args, **kwargs)
            self._connections.append(connection)
            return connection

        return connect
