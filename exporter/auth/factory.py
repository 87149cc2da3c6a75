"""Choice of the authenticator for a configured cloud."""

import os
import random as default_random
from collections.abc import Callable
from pathlib import Path

from exporter.auth.base import (
    Authenticator,
    AuthError,
    CloudConfigError,
    CloudSelection,
    check_token,
)
from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.auth.token_file import TokenFileAuthenticator
from exporter.clock import now
from exporter.model.instant import Instant
from exporter.transport.tls_files import ClientTls
from exporter.transport.url import base_url


def build_authenticator(
    name: str,
    *,
    cloud: str | None = None,
    region: str | None = None,
    image_service_name: str | None = None,
    interface: str | None = None,
    endpoint: str | None = None,
    token: str | None = None,
    token_file: Path | None = None,
    timeout: float,
    clock: Callable[[], Instant] = now,
    random: Callable[[], float] = default_random.random,
) -> Authenticator:
    """Return the authenticator for a configured cloud. No request is sent yet.

    Args:
        name: Name of the cloud, for errors.
        cloud: Entry of clouds.yaml. Without it and ``endpoint``, the ``OS_*`` variables are used.
        region: Region of the endpoint, if it is not the entry's region.
        image_service_name: Name of the Image service in the catalog, if a region has several.
        interface: Interface of the endpoint, if it is not the entry's interface.
        endpoint: URL of the Image service, which is then used without Keystone.
        token: Fixed token for ``endpoint``.
        token_file: File with a token for ``endpoint``.
        timeout: Seconds for a whole authentication attempt.
        clock: Returns the current time.
        random: Returns numbers from 0 to 1, for the backoff.

    Raises:
        CloudConfigError: The configuration cannot work.
    """
    try:
        if endpoint is not None:
            return _without_keystone(endpoint, token, token_file, clock)
        return _import_clouds_yaml()(
            CloudSelection(cloud, region, interface, image_service_name),
            timeout=timeout,
            clock=clock,
            random=random,
        )
    except CloudConfigError as error:
        raise CloudConfigError(f"cloud {name!r}: {error}") from None


def _import_clouds_yaml() -> Callable[..., Authenticator]:
    """Import the module that needs openstacksdk, which looks for directories when imported."""
    try:
        from exporter.auth.clouds_yaml import (  # noqa: PLC0415  # see there
            authenticator_from_clouds_yaml,
        )
    except (RuntimeError, FileNotFoundError) as error:
        fault = _missing_directory()
        if not fault:
            raise
        raise CloudConfigError(f"cannot search for clouds.yaml: {fault}") from error
    return authenticator_from_clouds_yaml


def _missing_directory() -> str:
    """Return which of the directories that openstacksdk requires is missing, and what to do."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return "the working directory was removed; start in one that exists"
    if Path(os.environ.get("HOME", "")).is_absolute():
        return ""
    return "this user has no home directory; set HOME to a directory, for example /"


def _without_keystone(
    endpoint: str, token: str | None, token_file: Path | None, clock: Callable[[], Instant]
) -> Authenticator:
    try:
        url = base_url(endpoint)
    except ValueError as error:
        raise CloudConfigError(f"endpoint: {error}") from None
    if token_file is not None:
        authenticator = TokenFileAuthenticator(url, token_file, ClientTls(), clock)
        try:
            authenticator.token()
        except AuthError as error:
            raise CloudConfigError(error.detail) from None
        return authenticator
    if token is not None:
        try:
            check_token(token)
        except ValueError as error:
            raise CloudConfigError(f"token: {error}") from None
    return StaticTokenAuthenticator(url, token, ClientTls())
