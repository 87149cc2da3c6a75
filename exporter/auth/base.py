"""Interface of every way to authenticate to a cloud: Authenticator, its tokens and errors."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from exporter.model.api_traits import RequestedVersion
from exporter.model.outcome import Failed, Reason
from exporter.transport.tls_files import ClientTls

_KEY = os.urandom(32)


class CloudConfigError(Exception):
    """A configuration that cannot work: one line that says what, where, and what is accepted."""


class AuthError(Exception):
    """A failure to get a token.

    Attributes:
        reason: The failure reason, as in the label ``reason``.
        detail: One line for the log, without secrets.
        retry_after: Seconds for which Keystone forbids requests (Retry-After), or 0.
    """

    def __init__(self, reason: Reason, detail: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after

    @property
    def failed(self) -> Failed:
        """Return the failure as a value."""
        return Failed(self.reason, self.detail)

    def copy(self) -> "AuthError":
        """Return the same failure for another thread. A shared one would collect tracebacks."""
        return AuthError(self.reason, self.detail, self.retry_after)


@dataclass(frozen=True, slots=True)
class AuthToken:
    """A token and the endpoint that accepts it.

    Attributes:
        endpoint: Base URL of the Image service, as ``transport.url.base_url`` returns it.
        value: The token, or ``None`` if the service needs none.
        expires_at: Unix seconds by Keystone's clock, or ``None`` if that is unknown.
        generation: Number of this token, counted from 1.
        project_id: ID of the project that the token is for, or an empty string if it is unknown.
    """

    endpoint: str
    value: str | None = field(repr=False)
    expires_at: float | None
    generation: int
    project_id: str = ""


@dataclass(frozen=True, slots=True)
class AuthStats:
    """Counters of an authenticator, and the state of its last attempt.

    Attributes:
        authentications: Number of completed attempts to get a token.
        failures: Number of failed attempts.
        expires_at: Unix seconds at which the current token expires, or ``None``.
        failure: Why the last attempt failed, or ``None`` if it did not.
    """

    authentications: int
    failures: int
    expires_at: float | None
    failure: Failed | None = None


@dataclass(frozen=True, slots=True)
class CloudSelection:
    """Selection that the settings of a cloud make in OpenStack's own configuration.

    Attributes:
        cloud: Entry of clouds.yaml. Without it, the ``OS_*`` variables are used.
        region: Region of the endpoint, if it is not the entry's region.
        interface: Interface of the endpoint, if it is not the entry's interface.
        image_service_name: Name of the Image service in the catalog, if it is not the entry's.
        config_file: The file to read instead of the clouds.yaml that OpenStack's clients find.
    """

    cloud: str | None = None
    region: str | None = None
    interface: str | None = None
    image_service_name: str | None = None
    config_file: Path | None = None


class Authenticator(Protocol):
    """Source of tokens for one cloud; thread-safe.

    An *attempt* gets one token, with the requests that this takes.
    """

    @property
    def identity(self) -> bytes:
        """Digest that is the same for equal configurations. It reveals no secret."""
        ...

    @property
    def endpoint(self) -> str | None:
        """The endpoint as far as it is known without a request."""
        ...

    @property
    def tls(self) -> ClientTls:
        """The certificates for connections to this cloud."""
        ...

    @property
    def api(self) -> RequestedVersion:
        """The API version that the configuration of the sign-in names, or ``auto``."""
        ...

    def token(self) -> AuthToken:
        """Return the current token, renewing it if it is about to expire.

        Raises:
            AuthError: There is no token.
        """
        ...

    def renew(self, rejected: AuthToken) -> AuthToken:
        """Return a newer token than ``rejected``, which the service refused with 401.

        Raises:
            AuthError: There is no other token.
        """
        ...

    def stats(self) -> AuthStats:
        """Return the counters since the start."""
        ...

    def close(self) -> None:
        """Cancel an attempt in progress, and start no other."""
        ...


def identity_of(*parts: object) -> bytes:
    """Return a digest that is the same for equal parts within this process. It reveals no part."""
    text = json.dumps(parts, sort_keys=True, default=repr)
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), key=_KEY).digest()


def check_token(value: str) -> None:
    """Check that a token is valid in a request header.

    Raises:
        ValueError: The token is invalid. The text does not repeat it.
    """
    if not value:
        raise ValueError("is empty")
    if not all("!" <= character <= "~" for character in value):
        raise ValueError("contains white space, control or non-ASCII characters")
