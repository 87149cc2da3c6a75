"""Health check of the exporter in this container, for Docker and for exec probes.

``python -m exporter.healthcheck [healthy|ready]`` exits with 0 for yes and 1 for no, and prints the
reason. It runs every few seconds beside the exporter, so it imports no other module of the
exporter: it needs 50 ms and 18 MiB, a tenth of the exporter's start.
"""

import http.client
import os
import re
import socket
import ssl
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import yaml

FIRST_PROCESS = Path("/proc/1/cmdline")
"""Command line of the first process of the container: the exporter with its flags."""

TIMEOUT = 3.0
"""Seconds for each step of a request."""

UNSPECIFIED_HOSTS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # recognised, not bound
PROTECTED_STATUSES = frozenset({401, 403, 429})
"""Statuses of a healthy exporter that requires a password or limits the rate of requests."""

DEFAULT_ADDRESS = ":10292"

_WEB_BLOCK = re.compile(r"""^(?:web|'web'|"web")[ \t]*:.*\n(?:(?:[ \t\r#].*)?\n)*""", re.MULTILINE)
_KEY = re.compile(r"^\w+:", re.MULTILINE)


class HealthResult(NamedTuple):
    """Result of a probe, with its reason in one line."""

    healthy: bool
    reason: str


class DaemonSettings:
    """Settings of the first process, from the same sources: flags, environment, file.

    Values are not validated. The exporter has rejected invalid ones at its start, and a mistake
    made in the file since then does not make a running exporter unhealthy.
    """

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str]) -> None:
        self._argv = argv
        self._environ = environ
        self._file: object = None
        path = self.get("config.file")
        # Reading a FIFO or a device would never end.
        if path and os.path.isfile(path):
            with suppress(OSError, ValueError, yaml.YAMLError):
                self._file = _parse_web_settings(Path(path).read_text("utf-8-sig"))

    @property
    def listen_address(self) -> str:
        """Address that the exporter listens on; the first one of several."""
        return (self.get("web.listen_address") or DEFAULT_ADDRESS).partition(",")[0].strip()

    @property
    def prefix(self) -> str:
        """Path prefix of all pages: empty, or with a leading and without a trailing slash."""
        prefix = self.get("web.route_prefix")
        if prefix is None:
            prefix = urlsplit(self.get("web.external_url") or "").path
        return f"/{prefix.strip('/')}".rstrip("/")

    def get(self, key: str) -> str | None:
        """Return the value of a setting such as ``web.listen_address``, or None if it has none."""
        flag = f"--{key.replace('_', '-')}"
        for argument, next_argument in reversed([*pairwise([*self._argv, ""])]):
            if argument == flag and next_argument:
                return next_argument
            if argument.startswith(f"{flag}="):
                return argument.partition("=")[2]
        if value := self._environ.get(f"IMAGE_EXPORTER_{key.upper().replace('.', '__')}"):
            return value
        node = self._file
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, list):
            node = next(iter(node), None)
        return node if isinstance(node, str) else None


def _parse_web_settings(text: str) -> object:
    """Parse the ``web`` settings of a settings file.

    Parsing a list of 100,000 images would exceed the time limit of a probe and the memory limit of
    a pod. Therefore only the lines of ``web`` are parsed, if they form a block of their own.
    """
    block = _WEB_BLOCK.search(f"{text}\n")
    if block is None and _KEY.search(text):
        return None
    if block is not None:
        with suppress(yaml.YAMLError):
            return yaml.load(block[0], yaml.CSafeLoader)
    return yaml.load(text, yaml.CSafeLoader)


def first_process_arguments() -> list[str]:
    """Return the arguments of the first process; empty if they cannot be read."""
    try:
        return FIRST_PROCESS.read_text("utf-8", "surrogateescape").split("\0")
    except OSError:
        return []


def probe(listen_address: str, path: str) -> HealthResult:
    """Send a GET request for ``path`` to the exporter, by HTTP or HTTPS.

    Its certificate is not verified, and no credentials are sent: an exporter that requires a
    password or a client certificate, or limits the rate of requests, is healthy.
    """
    host, _, port = listen_address.rpartition(":")
    host = host.strip("[]")
    address = ("127.0.0.1" if host in UNSPECIFIED_HOSTS else host, int(port))
    try:
        try:
            return _get(socket.create_connection(address, TIMEOUT), path)
        except (http.client.HTTPException, ConnectionResetError):
            # A TLS server cannot parse a plain request.
            return _get_by_tls(address, path)
    except (http.client.HTTPException, OSError) as error:
        return HealthResult(False, f"no response: {error}")


def _get_by_tls(address: tuple[str, int], path: str) -> HealthResult:
    try:
        with socket.create_connection(address, TIMEOUT) as plain:
            return _get(_unverified_context().wrap_socket(plain), path)
    except (http.client.HTTPException, ssl.SSLError, ConnectionError):
        # A server that requires a client certificate closes the connection, and the alert with the
        # reason may be lost.
        if not _responds_to_client_hello(address):
            raise
        return HealthResult(True, "requires a client certificate")


def _responds_to_client_hello(address: tuple[str, int]) -> bool:
    """Return True if the server responds to a TLS ClientHello with a TLS alert or handshake."""
    client_hello = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        _unverified_context().wrap_bio(ssl.MemoryBIO(), client_hello).do_handshake()
    with socket.create_connection(address, TIMEOUT) as plain:
        plain.sendall(client_hello.read())
        return plain.recv(1) in {b"\x15", b"\x16"}


def _unverified_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _get(sock: socket.socket, path: str) -> HealthResult:
    with sock:
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        response = http.client.HTTPResponse(sock, method="GET")
        response.begin()
        if response.status in PROTECTED_STATUSES:
            return HealthResult(True, f"responds with {response.status} {response.reason}")
        text = response.read(1000).decode("utf-8", "replace").strip()
        return HealthResult(response.status == http.client.OK, f"{response.status} {text}")


def main(argv: Sequence[str] | None = None) -> int:
    """Probe the exporter, print the result and return the exit status."""
    (endpoint,) = (sys.argv[1:] if argv is None else argv) or ["healthy"]
    settings = DaemonSettings(first_process_arguments(), os.environ)
    result = probe(settings.listen_address, f"{settings.prefix}/-/{endpoint}")
    sys.stdout.write(f"{result.reason}\n")
    return 0 if result.healthy else 1


if __name__ == "__main__":
    sys.exit(main())
