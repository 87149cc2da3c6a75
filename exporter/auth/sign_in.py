"""Signing in to a cloud: the right way for what is configured."""

import os
import random as chance
from collections.abc import Callable
from pathlib import Path

from exporter.auth.base import Authenticator, AuthError, CloudConfigError
from exporter.auth.static_token import StaticTokenAuthenticator, check_token
from exporter.auth.token_file import TokenFileAuthenticator
from exporter.clock import now
from exporter.model.instant import Instant
from exporter.transport.tls_files import ClientTls
from exporter.transport.url import base_url


def sign_in(
    name: str,
    *,
    cloud: str | None = None,
    region: str | None = None,
    interface: str | None = None,
    endpoint: str | None = None,
    token: str | None = None,
    token_file: Path | None = None,
    timeout: float,
    clock: Callable[[], Instant] = now,
    random: Callable[[], float] = chance.random,
) -> Authenticator:
    """The way to sign in to the configured cloud ``name``; nothing is sent yet.

    With ``endpoint`` there is no Keystone; ``cloud`` is an entry of clouds.yaml, and without
    either the ``OS_*`` variables count. ``timeout`` is seconds for a whole sign-in, ``random``
    gives numbers from 0 to 1 for the backoff. Raises ``CloudConfigError``.
    """
    try:
        if endpoint is not None:
            return _without_keystone(endpoint, token, token_file, clock)
        return _from_openstack()(
            cloud, region, interface, timeout=timeout, clock=clock, random=random
        )
    except CloudConfigError as error:
        raise CloudConfigError(f"cloud {name!r}: {error}") from None


def _from_openstack() -> Callable[..., Authenticator]:
    """What reads openstacksdk's configuration; raises ``CloudConfigError``.

    Where it looks for clouds.yaml, it finds out while it is imported.
    """
    try:
        # Only here, because openstacksdk takes most of the time and memory of a start.
        from exporter.auth.from_openstack import from_openstack  # noqa: PLC0415
    except (RuntimeError, FileNotFoundError) as error:
        fault = _place_missing()
        if not fault:
            raise
        raise CloudConfigError(f"clouds.yaml cannot be looked for: {fault}") from error
    return from_openstack


def _place_missing() -> str:
    """Which of the folders that openstacksdk insists on is not to be found."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return "the working directory is not there any more; start in one that is"
    if Path(os.environ.get("HOME", "")).is_absolute():
        return ""
    return "this user has no home directory; set HOME to a folder, such as /"


def _without_keystone(
    endpoint: str, token: str | None, token_file: Path | None, clock: Callable[[], Instant]
) -> Authenticator:
    try:
        base = base_url(endpoint)
    except ValueError as error:
        raise CloudConfigError(f"endpoint: {error}") from None
    if token_file is not None:
        signin = TokenFileAuthenticator(base, token_file, ClientTls(), clock)
        try:
            signin.credential()
        except AuthError as error:
            raise CloudConfigError(error.detail) from None
        return signin
    if token is not None:
        try:
            check_token(token)
        except ValueError as error:
            raise CloudConfigError(f"token: {error}") from None
    return StaticTokenAuthenticator(base, token, ClientTls())
