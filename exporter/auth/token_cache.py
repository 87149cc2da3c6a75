"""Token cache: all threads share one token, which is renewed before it expires or after a 401."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from exporter.auth.base import AuthError, AuthStats, AuthToken
from exporter.auth.keystone import IssuedToken, Keystone
from exporter.model.api_traits import RequestedVersion
from exporter.model.instant import Instant
from exporter.transport.tls_files import ClientTls

MIN_RENEWAL_INTERVAL = 10.0
"""Seconds between two renewals because of a 401."""

MAX_BACKOFF = 60.0
"""Longest wait after a failed attempt in seconds. The first wait is at most one second."""


def renewal_margin(lifetime: float) -> float:
    """Return how many seconds before its expiry a token is renewed."""
    return min(max(min(300.0, lifetime / 5), 5.0), lifetime / 2)


@dataclass(frozen=True, slots=True)
class _CachedToken:
    """A token in use, and its remaining lifetime.

    Each of the two clocks measures the age of the token, and the larger age counts: the wall clock
    may be set back, and the monotonic clock may stop while a virtual machine is paused.
    """

    token: AuthToken
    issued_at: Instant
    lifetime: float

    def remaining(self, now: Instant) -> float:
        monotonic_age = now.monotonic - self.issued_at.monotonic
        return self.lifetime - max(monotonic_age, now.wall - self.issued_at.wall)


class _Attempt:
    """An authentication attempt in progress that any number of threads can wait for."""

    def __init__(self, timeout: float) -> None:
        self.future: Future[AuthToken] = Future()
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout

    def result(self) -> AuthToken:
        """Wait for the token until the deadline.

        Raises:
            AuthError: The attempt failed, or the deadline has passed.
        """
        try:
            return self.future.result(max(0.0, self._deadline - time.monotonic()))
        except TimeoutError:
            detail = f"no token within {self._timeout:g} s"
        except AuthError as error:
            raise error.copy() from None
        raise AuthError("timeout", detail)


class CachedTokenAuthenticator:
    """Source of tokens from Keystone.

    Each authentication attempt runs in a thread of its own, one at a time. A caller without a valid
    token waits for the attempt until its timeout; callers with a valid token keep using theirs.
    """

    def __init__(
        self,
        keystone: Keystone,
        *,
        tls: ClientTls,
        clock: Callable[[], Instant],
        random: Callable[[], float],
        identity: bytes = b"",
        api: RequestedVersion = "auto",
    ) -> None:
        self.tls = tls
        self.api = api
        self.identity = identity
        self._keystone = keystone
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._cached: _CachedToken | None = None
        self._attempt: _Attempt | None = None
        self._last_failure: AuthError | None = None
        self._retry_at = self._renewed_at = float("-inf")
        self._failures_in_a_row = 0
        self._generation = self._authentications = self._failures = 0
        self._closed = False

    @property
    def endpoint(self) -> str | None:
        """The endpoint of the current token, or the configured one."""
        cached = self._cached
        return cached.token.endpoint if cached else self._keystone.configured_endpoint

    def token(self) -> AuthToken:
        """Return the current token, or a new one if it has expired.

        After a failure, the same failure is raised without a request until a backoff has passed.

        Raises:
            AuthError: There is no token.
        """
        with self._lock:
            now = self._clock()
            cached = self._cached
            remaining = cached.remaining(now) if cached else 0.0
            attempt = self._attempt
            if attempt is None and (not cached or remaining <= renewal_margin(cached.lifetime)):
                attempt = self._start_attempt(now)
            if cached and remaining > 0:
                return cached.token
            if attempt is None:
                raise self._failure()
        return attempt.result()

    def renew(self, rejected: AuthToken) -> AuthToken:
        """Return a newer token than ``rejected``, which the service refused with 401.

        The first call with the current token renews it. Later calls with that token, or with an
        older one, return the new token. If the new token is rejected as well, Keystone is not
        contacted again for ``MIN_RENEWAL_INTERVAL``.

        Raises:
            AuthError: There is no newer token.
        """
        with self._lock:
            cached = self._cached
            if cached and cached.token.generation == rejected.generation:
                now = self._clock()
                age = now.monotonic - self._renewed_at
                if age < MIN_RENEWAL_INTERVAL:
                    raise AuthError("unauthorized", f"the token renewed {age:.0f} s ago is refused")
                self._renewed_at = now.monotonic
                self._cached = None
        return self.token()

    def stats(self) -> AuthStats:
        """Return the counters of attempts, and when the current token expires."""
        with self._lock:
            expires_at = self._cached.token.expires_at if self._cached else None
            failure = None if self._last_failure is None else self._last_failure.failed
            return AuthStats(self._authentications, self._failures, expires_at, failure)

    def close(self) -> None:
        """Abort an attempt in progress, and start no other."""
        with self._lock:
            self._closed = True
        self._keystone.abort()

    def _failure(self) -> AuthError:
        if self._last_failure is None:
            return AuthError("connection", "the exporter is stopping")
        return self._last_failure.copy()

    def _start_attempt(self, now: Instant) -> _Attempt | None:
        """Start an attempt; return ``None`` during a backoff, or if the cache is closed."""
        if self._closed or now.monotonic < self._retry_at:
            return None
        attempt = _Attempt(self._keystone.timeout)
        thread = threading.Thread(
            target=self._run_attempt, args=(attempt, now), name="sign-in", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            raise AuthError("internal", "no thread can be started to sign in") from None
        self._attempt = attempt
        return attempt

    def _run_attempt(self, attempt: _Attempt, start: Instant) -> None:
        try:
            token = self._store_token(self._keystone.authenticate(), start)
        except AuthError as error:
            self._store_failure(attempt, error)
        except Exception as error:  # noqa: BLE001  # waiting threads must be released in any case
            bug = AuthError("internal", f"sign-in crashed: {type(error).__name__}")
            self._store_failure(attempt, bug)
        else:
            attempt.future.set_result(token)

    def _store_token(self, issued: IssuedToken, start: Instant) -> AuthToken:
        with self._lock:
            self._attempt = None
            self._authentications += 1
            self._failures_in_a_row = 0
            self._last_failure = None
            self._generation += 1
            token = AuthToken(
                issued.endpoint,
                issued.value,
                issued.expires_at,
                self._generation,
                issued.project_id,
            )
            self._cached = _CachedToken(token, start, issued.lifetime)
            return token

    def _store_failure(self, attempt: _Attempt, error: AuthError) -> None:
        with self._lock:
            self._attempt = None
            self._authentications += 1
            self._failures += 1
            # Full jitter, so that many exporters do not return to a Keystone at the same time.
            max_wait = min(MAX_BACKOFF, 2.0 ** min(self._failures_in_a_row, 10))
            self._failures_in_a_row += 1
            wait = max(max_wait * self._random(), error.retry_after)
            self._retry_at = self._clock().monotonic + wait
            self._last_failure = error
        attempt.future.set_exception(error)
