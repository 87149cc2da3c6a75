"""What stands between a client and the pages: a limit, a login, and headers on every answer."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.security.basic_auth import Users, credentials
from exporter.web.security.tls import ServerTls
from exporter.web.thread_pool import ThreadPool

MOST_CHECKS = 100
"""Passwords that wait to be checked; who comes on top of that is told to come later."""

LARGEST_HEAD = 16 * 1024
"""Bytes of a request up to its body; a scrape's has a few hundred."""

LARGEST_BODY = 64 * 1024
"""Bytes of a request's body, which no page looks at."""

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
}
"""On every answer that does not say otherwise itself: nothing here is to be framed or guessed."""

UNAUTHORIZED = PlainTextResponse(
    "Unauthorized\n",
    401,
    {"WWW-Authenticate": 'Basic realm="openstack-image-exporter", charset="UTF-8"'},
)
TOO_MANY = PlainTextResponse("Too Many Requests\n", 429)
HEAD_TOO_LARGE = PlainTextResponse(
    "The address or the headers are too long.\n", 431, {"Connection": "close"}
)
TOO_LARGE = PlainTextResponse("No page takes a body that large.\n", 413, {"Connection": "close"})
NO_LENGTH = PlainTextResponse("A body has to say how long it is.\n", 411, {"Connection": "close"})
BUSY = PlainTextResponse("Too many passwords are being checked; try again later.\n", 503)


class TokenBucket:
    """Lets one request through per ``interval`` seconds, ``burst`` at once; thread-safe."""

    def __init__(self, interval: float, burst: int, clock: Callable[[], float]) -> None:
        self.limit = (interval, burst)
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._at = clock()

    def take(self) -> bool:
        """Whether one more may come now."""
        with self._lock:
            now = self._clock()
            interval, burst = self.limit
            self._tokens = min(float(burst), self._tokens + (now - self._at) / interval)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


@dataclass(frozen=True, slots=True)
class SecurityConfig:
    """All that a web configuration file asks for; without one, nothing."""

    tls: ServerTls | None = None
    users: Users = field(default_factory=lambda: Users({}))
    headers: Sequence[tuple[str, str]] = ()
    bucket: TokenBucket | None = None


class SecurityState:
    """The protection that is in force, which can be replaced while requests are answered."""

    def __init__(self, protection: SecurityConfig | None = None) -> None:
        self.protection = protection or SecurityConfig()

    @property
    def tls(self) -> ServerTls | None:
        """What new connections are secured by."""
        return self.protection.tls

    def exchange(self, protection: SecurityConfig) -> None:
        """Puts another protection in force, as a whole.

        What is the same as before goes on: open connections, passwords that were checked, and the
        count of requests.
        """
        old, new = self.protection, protection
        if old.tls and new.tls and old.tls.options == new.tls.options:
            new = replace(new, tls=old.tls)
        if old.users == new.users:
            new = replace(new, users=old.users)
        if old.bucket and new.bucket and old.bucket.limit == new.bucket.limit:
            new = replace(new, bucket=old.bucket)
        self.protection = new


class SecurityMiddleware:
    """An application behind a guard."""

    def __init__(self, app: ASGIApp, guard: SecurityState) -> None:
        self._app = app
        self._guard = guard
        # One at a time, as in exporter-toolkit: whoever guesses passwords gets one processor.
        self._workers = ThreadPool(1)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's answer, or why there is none."""
        protection = self._guard.protection
        answer = await self._refusal(protection, scope) or self._app
        await answer(scope, receive, _with_headers(send, protection))

    async def _refusal(self, protection: SecurityConfig, scope: Scope) -> ASGIApp | None:
        if protection.bucket is not None and not protection.bucket.take():
            return TOO_MANY
        return _size_refused(scope) or await self._login_refused(protection.users, scope)

    async def _login_refused(self, users: Users, scope: Scope) -> ASGIApp | None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        found = credentials(given[0]) if len(given) == 1 else None
        if not users or (found is not None and users.remembers(*found)):
            return None
        if found is None:
            return UNAUTHORIZED
        if self._waiting >= MOST_CHECKS:
            return BUSY
        self._waiting += 1
        try:
            is_right = await self._workers.run(lambda: users.check(*found))
        finally:
            self._waiting -= 1
        return None if is_right else UNAUTHORIZED


def _size_refused(scope: Scope) -> ASGIApp | None:
    # The server limits only what comes in several pieces.
    size = len(scope["raw_path"]) + len(scope["query_string"])
    if size + sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEAD:
        return HEAD_TOO_LARGE
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return NO_LENGTH
        # That it is a number, the server has seen to.
        if name == b"content-length" and int(value) > LARGEST_BODY:
            return TOO_LARGE
    return None


def _with_headers(send: Send, protection: SecurityConfig) -> Send:
    async def send_all(message: Message) -> None:
        if message["type"] == "http.response.start":
            asked = {name.lower().encode(): value.encode() for name, value in protection.headers}
            own = [each for each in message["headers"] if each[0].lower() not in asked]
            there = {name.lower() for name, _ in own} | asked.keys()
            default = [
                (name.lower().encode(), value.encode())
                for name, value in SECURITY_HEADERS.items()
                if name.lower().encode() not in there
            ]
            message["headers"] = [*own, *asked.items(), *default]
        await send(message)

    return send_all
