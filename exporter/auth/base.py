"""What every way of signing in to a cloud has in common."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Protocol

from exporter.model.outcome import Reason
from exporter.transport.tls_files import ClientTls

_KEY = os.urandom(32)


def identity_of(*parts: object) -> bytes:
    """The same bytes for the same parts in this process; what they hold cannot be read from it."""
    text = json.dumps(parts, sort_keys=True, default=repr)
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), key=_KEY).digest()


class CloudConfigError(Exception):
    """What is configured cannot work: one line that says what, where, and what is accepted."""


class AuthError(Exception):
    """No token for now; ``detail`` is safe to log.

    ``retry_after`` is how many seconds Keystone asked to be left alone for, 0 where it did not.
    """

    def __init__(self, reason: Reason, detail: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after

    def again(self) -> "AuthError":
        """The same failure for one more caller; a shared one would collect their tracebacks."""
        return AuthError(self.reason, self.detail, self.retry_after)


@dataclass(frozen=True, slots=True)
class AuthToken:
    """Where to ask, and with what.

    ``endpoint`` is a base URL as ``endpoint.base_url`` gives it, ``expires_at`` is Unix seconds
    by Keystone's clock, and ``generation`` counts the tokens from 1.
    """

    endpoint: str
    token: str | None = field(repr=False)
    expires_at: float | None
    generation: int


@dataclass(frozen=True, slots=True)
class AuthStats:
    """``authentications`` counts the sign-ins that ended, ``failures`` those of them that failed.

    ``expires_at`` is that of the token in use, in Unix seconds; None without such a token.
    ``failure`` says why the last sign-in failed; None where it did not.
    """

    authentications: int
    failures: int
    expires_at: float | None
    failure: str | None = None


class Authenticator(Protocol):
    """Gives credentials for one cloud to any number of threads."""

    @property
    def identity(self) -> bytes:
        """The same for two that sign in to the same service in the same way; tells no secret."""
        ...

    @property
    def tls(self) -> ClientTls:
        """How connections to this cloud are secured."""
        ...

    def credential(self) -> AuthToken:
        """The credential to use now, renewed before it expires; raises ``AuthError``."""
        ...

    def renew(self, stale: AuthToken) -> AuthToken:
        """A newer credential than ``stale``, which met a 401; raises ``AuthError``."""
        ...

    def stats(self) -> AuthStats:
        """Counts since the start."""
        ...

    def close(self) -> None:
        """Give up what is under way."""
        ...
