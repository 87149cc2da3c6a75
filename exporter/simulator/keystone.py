"""A simulated Keystone on loopback: tokens, a service catalog, and faults."""

import json
import secrets
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

LOOPBACK = "127.0.0.1"

UNAUTHORIZED = "The request you have made requires authentication."

DOMAIN = {"id": "default", "name": "Default"}
PROJECT_SCOPE = {"project": {"id": "p1", "name": "demo", "domain": DOMAIN}}
SYSTEM_SCOPE = {"system": {"all": True}}
DOMAIN_SCOPE = {"domain": DOMAIN}
UNSCOPED: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class CatalogEndpoint:
    """One endpoint of one service in the catalog."""

    url: str
    region: str = "RegionOne"
    interface: str = "public"
    service_type: str = "image"
    service_name: str = "glance"


@dataclass(frozen=True, slots=True)
class KeystoneFault:
    """The response to requests for a token instead of the correct one.

    ``status`` is an error with ``headers`` and ``message``. ``body`` is sent unchanged. ``hang``
    sends nothing, ``drip`` one byte of the head every so many seconds. ``reset`` resets the
    connection. With ``discovery`` the fault applies to the version documents too.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    body: bytes | None = None
    hang: bool = False
    drip: float = 0.0
    reset: bool = False
    discovery: bool = False


@dataclass(frozen=True, slots=True)
class KeystoneRequest:
    """A request as received, without its body, which contains passwords."""

    method: str
    path: str
    headers: dict[str, str]
    at: float


class SimulatedKeystone:
    """The part of Keystone's v3 API that authentication needs; thread-safe, a context manager.

    Attributes:
        users: passwords by user name.
        application_credentials: secrets by ID.
        endpoints: the endpoints in the catalog of new tokens.
        scope: the keys of new tokens that say what they are for.
        token_life: lifetime of new tokens in seconds.
        clock_skew: seconds by which Keystone's clock is ahead of the local one.
        fault: the fault that is set, if any.
        link_url: the URL in the version document, if it is not ``auth_url``.
        gate: an event that requests for a token wait for before they get a response.
    """

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.users = {"demo": "secret"}
        self.application_credentials: dict[str, str] = {}
        self.endpoints: list[CatalogEndpoint] = []
        self.scope: Mapping[str, Any] = PROJECT_SCOPE
        self.token_life = 3600.0
        self.clock_skew = 0.0
        self.fault: KeystoneFault | None = None
        self.link_url: str | None = None
        self.gate: threading.Event | None = None
        self._lock = threading.Lock()
        self._valid: set[str] = set()
        self._issued = 0
        self._requests: list[KeystoneRequest] = []
        self._stopped = threading.Event()
        self._server = _Server((LOOPBACK, port), self, tls)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.02},
            name="simulated-keystone",
            daemon=True,
        )
        self._scheme = "https" if tls else "http"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Return the port the server listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Return the URL without the API version."""
        return f"{self._scheme}://{LOOPBACK}:{self.port}"

    @property
    def auth_url(self) -> str:
        """Return the ``auth_url`` for clouds.yaml."""
        return f"{self.url}/v3"

    @property
    def issued(self) -> int:
        """Return the number of tokens issued."""
        with self._lock:
            return self._issued

    def requests(self, path: str | None = None) -> list[KeystoneRequest]:
        """Return the requests so far, or those for one path."""
        with self._lock:
            return [request for request in self._requests if path in {None, request.path}]

    @property
    def token_requests(self) -> int:
        """Return the number of requests for a token, successful or not."""
        return len(self.requests("/v3/auth/tokens"))

    def accepts(self, token: str | None) -> bool:
        """Return True if ``token`` was issued and not revoked."""
        with self._lock:
            return token in self._valid

    def revoke(self, token: str | None = None) -> None:
        """Revoke one token, or all."""
        with self._lock:
            self._valid = set() if token is None else self._valid - {token}

    def offer_image(self, *urls: str) -> None:
        """Set the public image endpoints in the catalog."""
        self.endpoints = [CatalogEndpoint(url) for url in urls]

    def record(self, request: KeystoneRequest) -> None:
        """Add a request to ``requests``."""
        with self._lock:
            self._requests.append(request)

    def wait_for_stop(self, seconds: float | None = None) -> bool:
        """Wait until the server stops, or for ``seconds``; return True if it stopped."""
        return self._stopped.wait(seconds)

    def issue_token(self, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """Return a token and its document for the body of a request; None if it is refused."""
        identity = body["auth"]["identity"]
        if not all(self._authenticates(method, identity[method]) for method in identity["methods"]):
            return None
        with self._lock:
            self._issued += 1
            token = f"token-{self._issued}-{secrets.token_urlsafe(12)}"
            self._valid.add(token)
        now = time.time() + self.clock_skew
        return token, token_document(
            identity["methods"], self.endpoints, now, self.token_life, self.scope
        )

    def _authenticates(self, method: str, proof: Mapping[str, Any]) -> bool:
        if method == "password":
            user = proof["user"]
            return bool(self.users.get(user.get("name")) == user["password"])
        if method == "application_credential":
            return bool(self.application_credentials.get(proof["id"]) == proof["secret"])
        return method == "token" and self.accepts(proof["id"])


def token_document(
    methods: list[str],
    endpoints: Iterable[CatalogEndpoint],
    issued_at: float,
    life: float,
    scope: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the token document: its lifetime and the catalog. Times are in seconds."""
    services: dict[tuple[str, str], list[dict[str, str]]] = {}
    for number, endpoint in enumerate(endpoints):
        services.setdefault((endpoint.service_type, endpoint.service_name), []).append(
            {
                "id": f"endpoint-{number}",
                "interface": endpoint.interface,
                "region": endpoint.region,
                "region_id": endpoint.region,
                "url": endpoint.url,
            }
        )
    return {
        "token": {
            "methods": methods,
            "user": {"id": "u1", "name": "demo", "domain": DOMAIN},
            **scope,
            "roles": [{"id": "r1", "name": "reader"}],
            "audit_ids": ["simulated"],
            "issued_at": _isotime(issued_at),
            "expires_at": _isotime(issued_at + life),
            "catalog": [
                {"id": f"{kind}-{name}", "type": kind, "name": name, "endpoints": addresses}
                for (kind, name), addresses in services.items()
            ],
        }
    }


def _isotime(seconds: float) -> str:
    """Return a time in Keystone's format: ``2026-01-01T00:00:00.000000Z``."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], keystone: SimulatedKeystone, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(address, _Handler)
        self.keystone = keystone
        self._tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve in the connection's own thread, so that a slow handshake delays no other."""
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        with self._tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore connections that clients close early: tests do that on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        keystone = self._record()
        version = {
            "id": "v3.14",
            "status": "stable",
            "links": [{"rel": "self", "href": f"{keystone.link_url or keystone.auth_url}/"}],
        }
        if keystone.fault is not None and keystone.fault.discovery:
            self._send_fault(keystone, keystone.fault)
        elif self.path.rstrip("/") == "":
            self._send(300, {"versions": {"values": [version]}})
        elif self.path.rstrip("/") == "/v3":
            self._send(200, {"version": version})
        else:
            self._send_error(404, "Not Found")

    def do_POST(self) -> None:
        keystone = self._record()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = keystone.fault
        if keystone.gate is not None:
            keystone.gate.wait(30)
        if fault is not None:
            self._send_fault(keystone, fault)
        elif self.path != "/v3/auth/tokens":
            self._send_error(404, "Not Found")
        elif (result := keystone.issue_token(json.loads(body))) is None:
            self._send_error(401, UNAUTHORIZED)
        else:
            token, document = result
            self._send(201, document, {"X-Subject-Token": token})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is http's
        pass

    def _record(self) -> SimulatedKeystone:
        request = KeystoneRequest(self.command, self.path, dict(self.headers), time.time())
        self.server.keystone.record(request)
        return self.server.keystone

    def _send_fault(self, keystone: SimulatedKeystone, fault: KeystoneFault) -> None:
        if fault.hang:
            keystone.wait_for_stop()
        elif fault.drip:
            for byte in b"HTTP/1.1 201 Created\r\nX-Endless: " + b"." * 100_000:
                self.wfile.write(bytes([byte]))
                if keystone.wait_for_stop(fault.drip):
                    break
        elif fault.reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif fault.body is not None:
            self.wfile.write(fault.body)
        else:
            self._send_error(fault.status, fault.message, fault.headers)
            return
        self.close_connection = True

    def _send_error(
        self, status: int, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._send(status, {"error": {"code": status, "message": message}}, headers)

    def _send(
        self, status: int, document: object, headers: Mapping[str, str] | None = None
    ) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Vary": "X-Auth-Token",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
