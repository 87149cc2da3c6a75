"""Choice of the authenticator for a configured cloud."""

import os
import random as default_random
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

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
from exporter.redaction import redact
from exporter.transport.tls_files import ClientTls
from exporter.transport.url import base_url


class OpenStackSource:
    """OpenStack's own configuration, shared by the clouds of one load of the settings.

    It is read when the first cloud needs it, because importing openstacksdk takes long.

    Args:
        watch: Called with the files before they are read, so that no change of one is missed.
    """

    def __init__(self, watch: Callable[[Iterable[Path]], object] = lambda _: None) -> None:
        self._watch = watch
        self._configurations: dict[Path | None, Any] = {}

    def authenticator(self, selection: CloudSelection, **options: Any) -> Authenticator:
        """Return the authenticator for an entry of clouds.yaml, or for the ``OS_*`` variables.

        Raises:
            CloudConfigError: The entry, or a file, cannot be used.
        """
        module = _import_clouds_yaml()
        file = selection.config_file
        if file not in self._configurations:
            self._configurations[file] = module.OpenStackConfiguration(file, self._watch)
        authenticator: Authenticator = module.authenticator_from_clouds_yaml(
            self._configurations[file], selection, **options
        )
        return authenticator


def build_authenticator(
    name: str,
    *,
    source: OpenStackSource | None = None,
    cloud: str | None = None,
    region: str | None = None,
    image_service_name: str | None = None,
    interface: str | None = None,
    config_file: Path | None = None,
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
        source: OpenStack's own configuration, if several clouds share it.
        cloud: Entry of clouds.yaml. Without it and ``endpoint``, the ``OS_*`` variables are used.
        region: Region of the endpoint, if it is not the entry's region.
        image_service_name: Name of the Image service in the catalog, if a region has several.
        interface: Interface of the endpoint, if it is not the entry's interface.
        config_file: The file to read instead of the clouds.yaml that OpenStack's clients find.
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
        return (source or OpenStackSource()).authenticator(
            CloudSelection(cloud, region, interface, image_service_name, config_file),
            timeout=timeout,
            clock=clock,
            random=random,
        )
    except CloudConfigError as error:
        raise CloudConfigError(f"cloud {name!r}: {redact(str(error))}") from None


def _import_clouds_yaml() -> ModuleType:
    """Import the module that needs openstacksdk, which looks for directories when imported."""
    try:
        from exporter.auth import clouds_yaml  # noqa: PLC0415  # see there
    except (RuntimeError, OSError) as error:
        fault = _missing_directory()
        if not fault:
            raise
        raise CloudConfigError(f"cannot search for clouds.yaml: {fault}") from error
    return clouds_yaml


def _missing_directory() -> str:
    """Return which of the directories that openstacksdk requires is missing, and what to do."""
    try:
        Path.cwd()
    except OSError:
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
