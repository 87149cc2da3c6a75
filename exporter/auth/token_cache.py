"""Sign-in by tokens that expire: fetched once, shared, renewed in time and after a 401."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from exporter.auth.base import AuthError, AuthStats, AuthToken
from exporter.auth.keystone import IssuedToken, Keystone
from exporter.model.instant import Instant
from exporter.transport.tls_files import ClientTls

RENEWAL_PAUSE = 10.0
"""Seconds after a renewal for a 401 in which no other 401 causes one."""

MAX_BACKOFF = 60.0
"""Longest wait after a failed sign-in, seconds; the first is at most one second."""


def margin(life: float) -> float:
    """How many seconds before its end a token of ``life`` seconds is renewed."""
    return min(max(min(300.0, life / 5), 5.0), life / 2)


@dataclass(frozen=True, slots=True)
class _Held:
    """A token in use, and how long it lasts from ``since`` on.

    Its age is the larger one that the two clocks give: the wall clock may be set back, and the
    steady one may stand still while a virtual machine is paused.
    """

    credential: AuthToken
    since: Instant
    life: float

    def left(self, now: Instant) -> float:
        return self.life - max(now.monotonic - self.since.monotonic, now.wall - self.since.wall)


class _Attempt:
    """A sign-in under way, for any number of threads to wait for."""

    def __init__(self, timeout: float) -> None:
        self.future: Future[AuthToken] = Future()
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout

    def result(self) -> AuthToken:
        """Its credential, waited for until its time is up; raises ``AuthError``."""
        try:
            return self.future.result(max(0.0, self._deadline - time.monotonic()))
        except TimeoutError:
            detail = f"no token within {self._timeout:g} s"
        except AuthError as error:
            raise error.again() from None
        raise AuthError("timeout", detail)


class CachedTokenAuthenticator:
    """Credentials from Keystone.

    Each sign-in runs in a thread of its own, at most one at a time. Who has no valid token waits
    for it, no longer than its timeout; who has one goes on with it meanwhile.
    """

    def __init__(
        self,
        keystone: Keystone,
        *,
        tls: ClientTls,
        clock: Callable[[], Instant],
        random: Callable[[], float],
        identity: bytes = b"",
    ) -> None:
        self.tls = tls
        self.identity = identity
        self._keystone = keystone
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._attempt: _Attempt | None = None
        self._failure: AuthError | None = None
        self._retry_at = self._renewed_at = float("-inf")
        self._failures_in_a_row = 0
        self._generation = self._authentications = self._failures = 0
        self._closed = False

    def credential(self) -> AuthToken:
        """The token in use, or a new one; raises ``AuthError``.

        After a failure, the same one is raised without asking Keystone until a backoff is over.
        """
        with self._lock:
            now = self._clock()
            held = self._held
            left = held.left(now) if held else 0.0
            attempt = self._attempt
            if attempt is None and (not held or left <= margin(held.life)):
                attempt = self._begin(now)
            if held and left > 0:
                return held.credential
            if attempt is None:
                raise self._refusal()
        return attempt.result()

    def renew(self, stale: AuthToken) -> AuthToken:
        """A newer credential than ``stale``; raises ``AuthError``.

        The first thread that comes with a credential has it renewed; the others, and those that
        come with an older one, get what is current. Keystone is not asked again when the new
        token is refused as well, until ``RENEWAL_PAUSE`` is over.
        """
        with self._lock:
            held = self._held
            if held and held.credential.generation == stale.generation:
                now = self._clock()
                age = now.monotonic - self._renewed_at
                if age < RENEWAL_PAUSE:
                    raise AuthError("unauthorized", f"the token renewed {age:.0f} s ago is refused")
                self._renewed_at = now.monotonic
                self._held = None
        return self.credential()

    def stats(self) -> AuthStats:
        """Counts of sign-ins that ended, and when the token in use expires."""
        with self._lock:
            expires_at = self._held.credential.expires_at if self._held else None
            failure = None if self._failure is None else str(self._failure)
            return AuthStats(self._authentications, self._failures, expires_at, failure)

    def close(self) -> None:
        """Cut a sign-in that is under way, and begin none any more."""
        with self._lock:
            self._closed = True
        self._keystone.abort()

    def _refusal(self) -> AuthError:
        if self._failure is None:
            return AuthError("connection", "signing in was ended")
        return self._failure.again()

    def _begin(self, now: Instant) -> _Attempt | None:
        """The attempt begun now; None in a backoff and after ``close``."""
        if self._closed or now.monotonic < self._retry_at:
            return None
        attempt = _Attempt(self._keystone.timeout)
        thread = threading.Thread(
            target=self._run, args=(attempt, now), name="sign-in", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            raise AuthError("internal", "no thread can be started to sign in") from None
        self._attempt = attempt
        return attempt

    def _run(self, attempt: _Attempt, began: Instant) -> None:
        try:
            credential = self._signed_in(self._keystone.authenticate(), began)
        except AuthError as error:
            self._failed(attempt, error)
        except Exception as error:  # noqa: BLE001  # who waits must be let go, whatever happens
            bug = AuthError("internal", f"signing in failed: {type(error).__name__}")
            self._failed(attempt, bug)
        else:
            attempt.future.set_result(credential)

    def _signed_in(self, grant: IssuedToken, began: Instant) -> AuthToken:
        with self._lock:
            self._attempt = None
            self._authentications += 1
            self._failures_in_a_row = 0
            self._failure = None
            self._generation += 1
            credential = AuthToken(grant.endpoint, grant.token, grant.expires_at, self._generation)
            self._held = _Held(credential, began, grant.life)
            return credential

    def _failed(self, attempt: _Attempt, error: AuthError) -> None:
        with self._lock:
            self._attempt = None
            self._authentications += 1
            self._failures += 1
            # Full jitter: many exporters must not come back to a Keystone at one time.
            ceiling = min(MAX_BACKOFF, 2.0 ** min(self._failures_in_a_row, 10))
            self._failures_in_a_row += 1
            wait = max(ceiling * self._random(), error.retry_after)
            self._retry_at = self._clock().monotonic + wait
            self._failure = error
        attempt.future.set_exception(error)
