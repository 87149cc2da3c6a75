"""Authentication as clouds.yaml, secure.yaml or the ``OS_*`` variables describe it.

openstacksdk reads them. Importing it takes most of the time and memory of a start, so this module
is imported only if a cloud needs it.
"""

import json
import logging
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import urllib3
import yaml
from keystoneauth1.exceptions import ClientException
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.noauth import NoAuth
from keystoneauth1.token_endpoint import Token
from openstack.config import loader
from openstack.config.cloud_region import CloudRegion
from openstack.exceptions import ConfigException
from openstack.warnings import ConfigurationWarning

from exporter.auth.base import (
    Authenticator,
    CloudConfigError,
    CloudSelection,
    check_token,
    identity_of,
)
from exporter.auth.catalog import CatalogEntry
from exporter.auth.errors import safe_line, secrets_of
from exporter.auth.keystone import Keystone
from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.auth.token_cache import CachedTokenAuthenticator
from exporter.model.instant import Instant
from exporter.transport.tls_files import ClientTls
from exporter.transport.url import base_url

_LEAKY_LOGGERS = ("keystoneauth", "openstack")
_INTERACTIVE_AUTH_TYPES = {"v3websso", "v3oidcdeviceauthz"}


def authenticator_from_clouds_yaml(
    selection: CloudSelection,
    *,
    timeout: float,
    clock: Callable[[], Instant],
    random: Callable[[], float],
) -> Authenticator:
    """Return the authenticator for an entry of clouds.yaml, or for the ``OS_*`` variables.

    The ``auth_type`` values ``none`` and ``admin_token`` need no Keystone.

    Raises:
        CloudConfigError: The entry is missing or cannot work.
    """
    config = load_cloud_region(selection.cloud, selection.region, selection.interface)
    tls = _client_tls(config)
    override = _endpoint_override(config)
    plugin = config.get_auth()
    if isinstance(plugin, NoAuth | Token):
        token = plugin.token if isinstance(plugin, Token) else None
        return _without_keystone(override or plugin.endpoint, token, tls)
    if not isinstance(plugin, BaseIdentityPlugin):
        raise CloudConfigError(f"auth_type {config.config['auth_type']} provides no token")
    parts = urlsplit(plugin.auth_url or "")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise CloudConfigError("auth_url must be an http or https URL with a host")
    entry = CatalogEntry(
        region=selection.region or config.get_region_name("image") or None,
        interface=selection.interface or config.get_interface("image") or "public",
        service_type=config.get_service_type("image") or "image",
        service_name=selection.image_service_name or config.get_service_name("image"),
        override=override,
    )
    secrets = secrets_of({"auth": config.config["auth"]})
    keystone = Keystone(plugin, entry, tls=tls, timeout=timeout, secrets=secrets)
    identity = identity_of(config.config, entry)
    return CachedTokenAuthenticator(
        keystone, tls=tls, clock=clock, random=random, identity=identity
    )


def load_cloud_region(cloud: str | None, region: str | None, interface: str | None) -> CloudRegion:
    """Load one region of an entry of clouds.yaml, or of the ``OS_*`` variables without ``cloud``.

    No request is sent, unless the entry's profile is a URL.

    Raises:
        CloudConfigError: The entry is missing or cannot work.
    """
    # They log tokens at DEBUG and lines of broken files, passwords included, at WARNING.
    for name in _LEAKY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    _check_file("OS_CLIENT_CONFIG_FILE", loader.CONFIG_FILES)
    _check_file("OS_CLIENT_SECURE_FILE", loader.SECURE_FILES)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config = _load(cloud, region, interface)
    for warning in caught:
        if issubclass(warning.category, ConfigurationWarning):
            raise CloudConfigError(safe_line(str(warning.message), ()))
    return config


def _load(cloud: str | None, region: str | None, interface: str | None) -> CloudRegion:
    secrets: set[str] = set()
    source = _source(cloud)
    try:
        loaded = loader.OpenStackConfig(pw_func=_refuse_prompt)
        secrets = secrets_of(loaded.cloud_config)
        source = _source(cloud or loaded.default_cloud, loaded.config_filename)
        _check_entry_exists(loaded, cloud or loaded.default_cloud)
        config = loaded.get_one(cloud=cloud, region_name=region, interface=interface)
    except (ClientException, ConfigException) as error:
        detail = safe_line(str(error), secrets)
    except TypeError as error:  # an option is missing, or unknown to the plugin
        detail = f"is invalid: {safe_line(str(error), secrets)}"
    except CloudConfigError as error:
        detail = str(error)
    except Exception as error:  # noqa: BLE001  # openstacksdk does not check types in the files
        detail = f"is invalid ({type(error).__name__})"
    else:
        auth_type = config.config["auth_type"]
        if auth_type not in _INTERACTIVE_AUTH_TYPES and not config.config["auth"].get(
            "idp_otp_key"
        ):
            return config
        detail = f"auth_type {auth_type} is interactive, which an exporter cannot use"
    # Raised outside of the handlers, so that no traceback shows the original with its secrets.
    raise CloudConfigError(f"{source}: {detail}")


def _source(cloud: str | None, file: str | None = None) -> str:
    if cloud is None:
        return "the OS_* variables"
    return f"cloud {cloud!r}" + (f" in {file}" if file else "")


def _check_entry_exists(loaded: loader.OpenStackConfig, cloud: str | None) -> None:
    names = loaded.get_cloud_names()
    # Without files and variables, openstacksdk invents an empty cloud of this name.
    is_invented = cloud == "defaults" and loaded.config_filename is None
    if cloud in names and not is_invented:
        return
    if loaded.config_filename is None:
        fault = f"no clouds.yaml was found in {', '.join(_searched_files())}"
    else:
        fault = f"no such cloud; the file has {', '.join(map(repr, names))}"
    if cloud is None or is_invented:
        fault = f"neither `cloud` nor `endpoint` is set, nor is OS_AUTH_URL; {fault}"
    raise CloudConfigError(fault)


def _searched_files() -> list[str]:
    override = os.environ.get("OS_CLIENT_CONFIG_FILE")
    folders = dict.fromkeys(loader.CONFIG_SEARCH_PATH)
    return [*([override] if override else []), *(f"{folder}/clouds.yaml" for folder in folders)]


def _check_file(variable: str, paths: Sequence[str]) -> None:
    """Refuse an invalid file, which openstacksdk would skip in favour of the next one."""
    override = os.environ.get(variable)
    if override and not Path(override).exists():
        raise CloudConfigError(f"{variable}={override}: there is no such file")
    file = next((path for path in [*filter(None, [override]), *paths] if Path(path).exists()), None)
    if file is None:
        return
    fault = ""
    try:
        content = Path(file).read_text(encoding="utf-8")
        parsed = json.loads(content) if file.endswith("json") else yaml.safe_load(content)
        clouds = parsed.get("clouds", {}) if isinstance(parsed, dict) else None
        if not isinstance(clouds, dict):
            fault = "has no mapping `clouds`"
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    except yaml.MarkedYAMLError as error:
        # Only the position, because the message quotes the file.
        mark = error.problem_mark
        position = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        fault = f"is not valid YAML{position}"
    except json.JSONDecodeError as error:
        fault = f"is not valid JSON, line {error.lineno}, column {error.colno}"
    except (ValueError, yaml.YAMLError):
        fault = "is not text in UTF-8"
    if fault:
        raise CloudConfigError(f"{file}: {fault}")


def _refuse_prompt(prompt: str | None = None) -> NoReturn:
    raise CloudConfigError(f"auth has no {(prompt or 'secret').strip(': ').lower()}")


def _without_keystone(
    endpoint: str | None, token: str | None, tls: ClientTls
) -> StaticTokenAuthenticator:
    if not endpoint:
        raise CloudConfigError("auth has no `endpoint`, which this auth_type needs")
    if token is not None:
        try:
            check_token(token)
        except ValueError as error:
            raise CloudConfigError(f"token {error}") from None
    return StaticTokenAuthenticator(_base_url("endpoint", endpoint), token, tls)


def _endpoint_override(config: CloudRegion) -> str | None:
    url = config.get_endpoint("image")
    return _base_url("image_endpoint_override", url) if url else None


def _base_url(key: str, url: str) -> str:
    try:
        return base_url(url)
    except ValueError as error:
        raise CloudConfigError(f"{key}: {error}") from None


def _client_tls(config: CloudRegion) -> ClientTls:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openstacksdk warns of a CA bundle without verification
        verify, cert = config.get_requests_verify_args()
    bundle = [verify] if isinstance(verify, str) else []
    certificates = [cert] if isinstance(cert, str) else list(cert or ())
    for path in [*bundle, *certificates]:
        if not Path(path).exists():
            raise CloudConfigError(f"the certificate file {path} does not exist")
    if verify is False:
        # urllib3 would repeat the warning on every request, although the operator chose this.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return ClientTls(True if verify is None else verify, cert)
