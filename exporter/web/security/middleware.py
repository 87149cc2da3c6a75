"""ASGI middleware for rate limit, request size, origin, basic auth and response headers."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.security.basic_auth import Users, parse_basic_auth
from exporter.web.security.origin import is_allowed_host, is_cross_site
from exporter.web.security.rate_limit import TokenBucket
from exporter.web.security.tls import ServerTls
from exporter.web.thread_pool import ThreadPool

MAX_PENDING_CHECKS = 100
"""Passwords waiting to be verified; further requests get 503."""

HEALTH_PATHS = ("/-/healthy", "/-/ready")
"""Paths of the health checks, below the route prefix. No limit may make a probe fail."""

MAX_HEAD_BYTES = 16 * 1024
"""Size limit of request line and headers; those of a scrape are a few hundred bytes."""

MAX_BODY_BYTES = 64 * 1024
"""Size limit of request bodies. No page reads them."""

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
}
"""Default headers of every response: no framing, no content sniffing, no cross-origin use."""

_DEFAULT_HEADERS = tuple(
    (name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()
)

UNAUTHORIZED = PlainTextResponse(
    "Unauthorized\n",
    401,
    {"WWW-Authenticate": 'Basic realm="openstack-image-exporter", charset="UTF-8"'},
)
TOO_MANY_REQUESTS = PlainTextResponse("Too Many Requests\n", 429)
CROSS_SITE = PlainTextResponse("Requests of other sites' pages are refused.\n", 403)
WRONG_HOST = PlainTextResponse(
    "The exporter does not serve this host; web.allowed_hosts names those that it serves.\n", 421
)
HEAD_TOO_LARGE = PlainTextResponse(
    "The request line or the headers are too long.\n", 431, {"Connection": "close"}
)
BODY_TOO_LARGE = PlainTextResponse("The request body is too large.\n", 413, {"Connection": "close"})
LENGTH_REQUIRED = PlainTextResponse(
    "A request body needs a Content-Length.\n", 411, {"Connection": "close"}
)
TOO_MANY_CHECKS = PlainTextResponse(
    "Too many passwords are being verified; try again later.\n", 503
)


@dataclass(frozen=True, slots=True)
class SecurityConfig:
    """Contents of a web configuration file. By default, nothing is protected."""

    tls: ServerTls | None = None
    users: Users = field(default_factory=lambda: Users({}))
    headers: Sequence[tuple[str, str]] = ()
    rate_limit: TokenBucket | None = None


class SecurityState:
    """The security configuration in use, which can be replaced while requests are served.

    Attributes:
        config: The configuration.
        health_paths: Paths that are exempt from the rate limit and the connection limit.
    """

    def __init__(self, config: SecurityConfig | None = None, prefix: str = "") -> None:
        """Use a configuration for an application with this route prefix."""
        self.config = config or SecurityConfig()
        self.health_paths = frozenset(prefix + path for path in HEALTH_PATHS)

    @property
    def tls(self) -> ServerTls | None:
        """TLS of new connections."""
        return self.config.tls

    def replace(self, config: SecurityConfig) -> None:
        """Use another configuration for the next requests.

        Parts that have not changed keep their state: open connections, verified passwords, and
        the tokens of the rate limit.
        """
        old, new = self.config, config
        if old.tls and new.tls and old.tls.options == new.tls.options:
            new = dataclasses.replace(new, tls=old.tls)
        if old.users == new.users:
            new = dataclasses.replace(new, users=old.users)
        if old.rate_limit and new.rate_limit and old.rate_limit.limit == new.rate_limit.limit:
            new = dataclasses.replace(new, rate_limit=old.rate_limit)
        self.config = new


class SecurityMiddleware:
    """Checks each request before it reaches the application, and adds headers to the response."""

    def __init__(
        self, app: ASGIApp, security: SecurityState, allowed_hosts: Collection[str] = ()
    ) -> None:
        """Protect ``app``. Without ``allowed_hosts``, requests may name any host."""
        self._app = app
        self._security = security
        self._allowed_hosts = frozenset(allowed_hosts)
        # One password at a time, as in exporter-toolkit: guessing passwords gets one processor.
        self._threads = ThreadPool(1)
        self._pending_checks = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond with a refusal, or pass the request to the application."""
        config = self._security.config
        refusal = (
            self._check_rate(config, scope)
            or _check_size(scope)
            or self._check_origin(scope)
            or await self._check_credentials(config.users, scope)
        )
        await (refusal or self._app)(scope, receive, _with_headers(send, config))

    def _check_rate(self, config: SecurityConfig, scope: Scope) -> ASGIApp | None:
        limit = config.rate_limit
        if limit is None or self._is_unlimited(config.users, scope) or limit.take():
            return None
        return TOO_MANY_REQUESTS

    def _is_unlimited(self, users: Users, scope: Scope) -> bool:
        """Return True for a health check, unless its password has to be verified.

        Guesses of passwords must be limited.
        """
        if scope["path"] not in self._security.health_paths:
            return False
        credentials = _credentials(scope) if users else None
        return credentials is None or users.is_cached(*credentials)

    def _check_origin(self, scope: Scope) -> ASGIApp | None:
        headers = dict(scope["headers"])
        if not is_allowed_host(headers.get(b"host"), self._allowed_hosts):
            return WRONG_HOST
        return CROSS_SITE if is_cross_site(scope["method"], headers) else None

    async def _check_credentials(self, users: Users, scope: Scope) -> ASGIApp | None:
        if not users:
            return None
        credentials = _credentials(scope)
        if credentials is None:
            return UNAUTHORIZED
        if users.is_cached(*credentials):
            return None
        if self._pending_checks >= MAX_PENDING_CHECKS:
            return TOO_MANY_CHECKS
        self._pending_checks += 1
        try:
            is_correct = await self._threads.run(lambda: users.verify(*credentials))
        finally:
            self._pending_checks -= 1
        return None if is_correct else UNAUTHORIZED


def _credentials(scope: Scope) -> tuple[bytes, bytes] | None:
    """Return the user and the password of a request, or None without exactly one of each."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    return parse_basic_auth(values[0]) if len(values) == 1 else None


def _check_size(scope: Scope) -> ASGIApp | None:
    # uvicorn limits the size of a head only if it arrives in several pieces.
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) + len(b": \r\n") for name, value in scope["headers"])
    if size > MAX_HEAD_BYTES:
        return HEAD_TOO_LARGE
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return LENGTH_REQUIRED
        # h11 has already validated Content-Length.
        if name == b"content-length" and int(value) > MAX_BODY_BYTES:
            return BODY_TOO_LARGE
    return None


def _with_headers(send: Send, config: SecurityConfig) -> Send:
    """Return ``send`` with the security headers added to the response.

    Configured headers replace those of the application, which replace the defaults.
    """
    configured = {name.lower().encode(): value.encode() for name, value in config.headers}

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [
                (name, value)
                for name, value in message["headers"]
                if name.lower() not in configured
            ]
            present = {name.lower() for name, _ in own} | configured.keys()
            missing = [(name, value) for name, value in _DEFAULT_HEADERS if name not in present]
            message["headers"] = [*own, *configured.items(), *missing]
        await send(message)

    return send_with_headers
