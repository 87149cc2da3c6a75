"""Authentication by a token in a file that another program keeps up to date."""

import threading
from collections.abc import Callable
from pathlib import Path

from exporter.auth.base import AuthError, AuthStats, AuthToken, check_token, identity_of
from exporter.files import FileFingerprint, fingerprint, read_regular_file
from exporter.model.api_traits import RequestedVersion
from exporter.model.instant import Instant
from exporter.redaction import shown_file
from exporter.transport.tls_files import ClientTls

CHECK_INTERVAL = 1.0
"""Seconds between two checks whether the file has changed."""

MAX_BYTES = 64 * 1024
"""Maximum size of a token: servers accept request heads of at most 8 to 64 KiB."""


class TokenFileAuthenticator:
    """Source of the token that a file holds.

    The file is read again when it was written to or replaced, for example by the symbolic link of
    a mounted Kubernetes secret, and after a 401.
    """

    def __init__(
        self, endpoint: str, path: Path, tls: ClientTls, clock: Callable[[], Instant]
    ) -> None:
        self.tls = tls
        self.api: RequestedVersion = "auto"
        self.identity = identity_of(endpoint, str(path))
        self.endpoint = endpoint
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._checked_at = float("-inf")
        self._fingerprint: FileFingerprint | None = None
        self._state: AuthToken | AuthError = AuthError("internal", "no token was read yet")
        self._last_value: str | None = None
        self._reads = self._failures = self._generation = 0

    def token(self) -> AuthToken:
        """Return the token in the file, as of at most ``CHECK_INTERVAL`` ago.

        Raises:
            AuthError: The file holds no token.
        """
        with self._lock:
            monotonic = self._clock().monotonic
            if monotonic - self._checked_at >= CHECK_INTERVAL:
                self._checked_at = monotonic
                if self._has_changed():
                    self._read()
            return self._current()

    def renew(self, rejected: AuthToken) -> AuthToken:
        """Return the token in the file if it is another one.

        Raises:
            AuthError: The file holds the same token, or no token.
        """
        with self._lock:
            if rejected.generation == self._generation:
                self._read()
            token = self._current()
        if token.generation == rejected.generation:
            raise AuthError("unauthorized", f"the token in {self._path} is refused")
        return token

    def stats(self) -> AuthStats:
        """Return the counters; each read of a changed file is one attempt."""
        with self._lock:
            state = self._state if self._reads else None
            failure = state.failed if isinstance(state, AuthError) else None
            return AuthStats(self._reads, self._failures, expires_at=None, failure=failure)

    def close(self) -> None:
        """Do nothing."""

    def _current(self) -> AuthToken:
        if isinstance(self._state, AuthError):
            raise self._state.copy()
        return self._state

    def _has_changed(self) -> bool:
        try:
            return fingerprint(self._path.stat()) != self._fingerprint
        except OSError:
            return True

    def _read(self) -> None:
        """Read the file, and remember the token or the failure."""
        self._fingerprint = None
        try:
            self._fingerprint, value = _read_token(self._path)
            check_token(value)
        except OSError as error:
            self._set_failure(f"cannot be read: {error.strerror}")
        except ValueError as error:
            self._set_failure(str(error))
        else:
            self._set_token(value)

    def _set_token(self, value: str) -> None:
        if value == self._last_value and isinstance(self._state, AuthToken):
            return
        self._reads += 1
        # A token that returns after a failure is not a new one, so that a 401 remains a 401.
        self._generation += value != self._last_value
        self._last_value = value
        self._state = AuthToken(self.endpoint, value, expires_at=None, generation=self._generation)

    def _set_failure(self, fault: str) -> None:
        detail = f"token file {shown_file(str(self._path), may_be_secret=True)} {fault}"
        if not isinstance(self._state, AuthError) or self._state.detail != detail:
            self._reads += 1
            self._failures += 1
            self._state = AuthError("unauthorized", detail)


def _read_token(path: Path) -> tuple[FileFingerprint, str]:
    """Return the token and the fingerprint of the file that it was read from.

    The path may already lead to another file.
    """
    content, status = read_regular_file(path, MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"holds more than {MAX_BYTES // 1024} KiB")
    # latin-1 decodes any byte; check_token rejects characters that are not ASCII.
    return fingerprint(status), content.decode("latin-1").strip("\t\n\r ")
