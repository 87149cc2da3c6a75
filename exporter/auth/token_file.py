"""Sign-in by a token that something else keeps fresh in a file."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from exporter.auth.base import AuthError, AuthStats, AuthToken, identity_of
from exporter.auth.static_token import check_token
from exporter.model.instant import Instant
from exporter.transport.tls_files import ClientTls

LOOK_EVERY = 1.0
"""Seconds between two looks at the file."""

MAX_BYTES = 64 * 1024
"""More is no token: servers take heads of at most 8 to 64 KiB."""

_Print = tuple[int, int, int, int]


class TokenFileAuthenticator:
    """A configured endpoint, and the token that ``path`` holds now.

    The file is read again when it is another one or was written to, as a mounted Kubernetes
    secret is by a swapped symbolic link, and after a 401.
    """

    def __init__(
        self, endpoint: str, path: Path, tls: ClientTls, clock: Callable[[], Instant]
    ) -> None:
        self.tls = tls
        self.identity = identity_of(endpoint, str(path))
        self._endpoint = endpoint
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._print: _Print | None = None
        self._state: AuthToken | AuthError = AuthError("internal", "no token was read yet")
        self._token: str | None = None
        self._reads = self._failures = self._generation = 0

    def credential(self) -> AuthToken:
        """The token in the file, at most ``LOOK_EVERY`` old; raises ``AuthError``."""
        with self._lock:
            steady = self._clock().monotonic
            if steady - self._looked_at >= LOOK_EVERY:
                self._looked_at = steady
                self._look(again=False)
            return self._current()

    def renew(self, stale: AuthToken) -> AuthToken:
        """The token in the file if it is another one; raises ``AuthError`` if it is not."""
        with self._lock:
            if stale.generation == self._generation:
                self._look(again=True)
            current = self._current()
        if current.generation == stale.generation:
            raise AuthError("unauthorized", f"the token in {self._path} is refused")
        return current

    def stats(self) -> AuthStats:
        """Each reading of a changed file counts as one sign-in."""
        with self._lock:
            state = self._state if self._reads else None
            failure = str(state) if isinstance(state, AuthError) else None
            return AuthStats(self._reads, self._failures, expires_at=None, failure=failure)

    def close(self) -> None:
        """Nothing is held."""

    def _current(self) -> AuthToken:
        if isinstance(self._state, AuthError):
            raise self._state.again()
        return self._state

    def _look(self, *, again: bool) -> None:
        try:
            print_ = _print_of(self._path.stat())
            if print_ == self._print and not again:
                return
            self._print, token = _read(self._path)
        except OSError as error:
            self._print = None
            self._fail(f"cannot be read: {error.strerror}")
        except ValueError as error:
            self._fail(str(error))
        else:
            self._take(token)

    def _take(self, token: str) -> None:
        try:
            check_token(token)
        except ValueError as error:
            self._fail(str(error))
            return
        if token == self._token and isinstance(self._state, AuthToken):
            return
        self._reads += 1
        # The same token after a bad moment of the file is no new one, so a 401 stays a 401.
        self._generation += token != self._token
        self._token = token
        self._state = AuthToken(self._endpoint, token, expires_at=None, generation=self._generation)

    def _fail(self, fault: str) -> None:
        detail = f"token file {self._path} {fault}"
        if not isinstance(self._state, AuthError) or self._state.detail != detail:
            self._reads += 1
            self._failures += 1
            self._state = AuthError("unauthorized", detail)


def _print_of(status: os.stat_result) -> _Print:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is not a regular file")
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path) -> tuple[_Print, str]:
    """Token and what identifies the very file it came from, which a swap may have replaced."""
    with path.open("rb") as file:
        print_ = _print_of(os.fstat(file.fileno()))
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"holds more than {MAX_BYTES // 1024} KiB")
    # latin-1 takes any byte; check_token refuses what is not ASCII.
    return print_, content.decode("latin-1").strip("\t\n\r ")
