"""Authentication as clouds.yaml, secure.yaml or the ``OS_*`` variables describe it.

openstacksdk reads them. Importing it takes most of the time and memory of a start, so this module
is imported only if a cloud needs it.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

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
from exporter.auth.client_tls import client_tls, to_boolean
from exporter.auth.credential_checks import (
    broken_value,
    cause_of_failure,
    misread_value,
    suspicions,
)
from exporter.auth.errors import safe_line, secrets_of
from exporter.auth.keystone import Keystone
from exporter.auth.openstack_files import candidates, read_file, searched_files
from exporter.auth.static_token import StaticTokenAuthenticator
from exporter.auth.token_cache import CachedTokenAuthenticator
from exporter.model.api_traits import RequestedVersion
from exporter.model.instant import Instant
from exporter.redaction import NOT_SHOWN, looks_secret, redact, shown_value
from exporter.text import excerpt
from exporter.transport.tls_files import ClientTls
from exporter.transport.url import base_url

API_VERSIONS: Mapping[str, RequestedVersion] = {
    "1": "v1",
    "2": "v2",
    "": "auto",
    "None": "auto",
    "latest": "auto",
}
"""Versions of the Image API by ``image_api_version``, without its minor version."""

_MINOR_VERSION = re.compile(r"(?<=[0-9])\.[0-9]+$", re.ASCII)

_LEAKY_LOGGERS = ("keystoneauth", "openstack", "stevedore")
_INTERACTIVE_AUTH_TYPES = {"v3websso", "v3oidcdeviceauthz"}


def authenticator_from_clouds_yaml(
    configuration: "OpenStackConfiguration",
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
    config = configuration.region(selection.cloud, selection.region, selection.interface)
    tls = client_tls(config)
    override = _endpoint_override(config)
    api = _api_version(config.config.get("image_api_version"))
    plugin = config.get_auth()
    if isinstance(plugin, NoAuth | Token):
        token = plugin.token if isinstance(plugin, Token) else None
        return _without_keystone(override or plugin.endpoint, token, tls, api)
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
    hint = "; ".join(suspicions(config.config["auth"], config.config["auth_type"]))
    keystone = Keystone(plugin, entry, tls=tls, timeout=timeout, secrets=secrets, hint=hint)
    identity = identity_of(config.config, entry)
    return CachedTokenAuthenticator(
        keystone, tls=tls, clock=clock, random=random, identity=identity, api=api
    )


def load_cloud_region(cloud: str | None, region: str | None, interface: str | None) -> CloudRegion:
    """Load one region of an entry, as ``OpenStackConfiguration.region`` does."""
    return OpenStackConfiguration().region(cloud, region, interface)


class OpenStackConfiguration:
    """clouds.yaml, secure.yaml and the ``OS_*`` variables, read once for any number of clouds."""

    def __init__(
        self,
        config_file: Path | None = None,
        watch: Callable[[Iterable[Path]], object] = lambda _: None,
    ) -> None:
        """Read the files.

        Args:
            config_file: The file to read instead of the clouds.yaml that is found.
            watch: Called with all files that may be read, before they are.

        Raises:
            CloudConfigError: A file cannot be used.
        """
        # They log tokens at DEBUG, and at WARNING lines of broken files, passwords included, and
        # an unknown auth_type, in which a secret may have been written.
        for name in _LEAKY_LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        clouds = candidates("OS_CLIENT_CONFIG_FILE", loader.CONFIG_FILES, config_file)
        secure = candidates("OS_CLIENT_SECURE_FILE", loader.SECURE_FILES)
        watch(map(Path, (*clouds[0], *secure[0])))
        self._files = (read_file(*clouds), read_file(*secure))
        self._config_file = config_file
        self._loaded: loader.OpenStackConfig | None = None

    def region(self, cloud: str | None, region: str | None, interface: str | None) -> CloudRegion:
        """Return one region of an entry, or of the ``OS_*`` variables without ``cloud``.

        No request is sent, unless the entry's profile is a URL.

        Raises:
            CloudConfigError: The entry is missing or cannot work.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            config = self._region(cloud, region, interface)
        for warning in caught:
            if issubclass(warning.category, ConfigurationWarning):
                raise CloudConfigError(safe_line(str(warning.message), ()))
        return config

    def _region(self, cloud: str | None, region: str | None, interface: str | None) -> CloudRegion:
        secrets: set[str] = set()
        source = _source(cloud)
        entry: Mapping[str, Any] = {}
        is_envvars = False
        try:
            loaded = self._load()
            name = cloud or loaded.default_cloud
            source = _source(name, loaded.config_filename)
            _check_entry_exists(loaded, name)
            is_envvars = name == loaded.envvar_key
            _refuse(misread_value(*self._parts(name)))
            entry = loaded.cloud_config["clouds"][name]
            _check_profiles(entry)
            secrets = secrets_of(entry)
            config = _with_entry(loaded, name, _prepared(entry, region)).get_one(
                cloud=cloud, region_name=region, interface=interface
            )
        except (ClientException, ConfigException) as error:
            detail = cause_of_failure(entry, error, variables=is_envvars)
            detail = detail or safe_line(str(error), secrets)
        except TypeError as error:  # an option is missing, or unknown to the plugin
            detail = cause_of_failure(entry, error, variables=is_envvars)
            detail = detail or f"is invalid: {safe_line(str(error), secrets)}"
        except CloudConfigError as error:
            detail = cause_of_failure(entry, error, variables=is_envvars) or str(error)
        except Exception as error:  # noqa: BLE001  # openstacksdk does not check types in the files
            detail = f"is invalid ({type(error).__name__})"
        else:
            detail = (
                _interaction(config)
                or _wrong_interface(config)
                or broken_value(config.config["auth"], variables=is_envvars)
                or _unknown_api_version(config.config, variables=is_envvars)
            )
            if not detail:
                return config
        # Raised outside of the handlers, so that no traceback shows the original with its secrets.
        raise CloudConfigError(redact(f"{source}: {detail}"))

    def _load(self) -> loader.OpenStackConfig:
        if self._loaded is None:
            if self._config_file is None:
                self._loaded = loader.OpenStackConfig(pw_func=_refuse_prompt)
            else:
                files = [str(self._config_file)]
                self._loaded = _NamedFileConfig(config_files=files, pw_func=_refuse_prompt)
        return self._loaded

    def _parts(self, name: str | None) -> list[Mapping[str, Any]]:
        """Return the parts of an entry that the files contain."""
        parts = (clouds.get(name or "") for clouds in self._files)
        return [part for part in parts if isinstance(part, dict)]


class _NamedFileConfig(loader.OpenStackConfig):
    """OpenStack's configuration, from a named file also if ``OS_CLIENT_CONFIG_FILE`` is set."""

    def _get_envvar(self, key: str, default: str | None = None) -> str | None:
        if key == "OS_CLIENT_CONFIG_FILE":
            return default
        value: str | None = super()._get_envvar(key, default)
        return value


def _check_profiles(entry: Any) -> None:
    """Check the file of vendor profiles if the entry has one, as openstacksdk may wait for it."""
    if isinstance(entry, dict) and (entry.get("profile") or entry.get("cloud")):
        read_file(loader.VENDOR_FILES, named_by="")


def _interaction(config: CloudRegion) -> str:
    auth_type = config.config["auth_type"]
    if auth_type in _INTERACTIVE_AUTH_TYPES or config.config["auth"].get("idp_otp_key"):
        return f"auth_type {auth_type} is interactive, which an exporter cannot use"
    return ""


def _wrong_interface(config: CloudRegion) -> str:
    try:
        config.get_interface("image")
    except ConfigException:
        return "interface has to be public, internal or admin, or a list of them"
    return ""


def _with_entry(
    loaded: loader.OpenStackConfig, name: str | None, entry: object
) -> loader.OpenStackConfig:
    """Return the configuration with this entry alone."""
    config = copy(loaded)
    config.cloud_config = {**loaded.cloud_config, "clouds": {name: entry}}
    return config


def _prepared(entry: Any, region: str | None) -> Any:
    """Return the entry so that ``region`` overrides its region, and texts count as booleans."""
    if not isinstance(entry, dict):
        return entry
    prepared = dict(entry)
    if "insecure" in prepared:
        prepared["insecure"] = to_boolean(prepared["insecure"])
    for key in ("region_name", "region-name"):
        # A list of regions, in whichever form, has all that can be selected.
        names = prepared.get(key)
        if region and isinstance(names, str) and "," not in names:
            del prepared[key]
    return prepared


def _refuse(fault: str) -> None:
    if fault:
        raise CloudConfigError(fault)


def _source(cloud: str | None, file: str | None = None) -> str:
    if cloud is None:
        return "the OS_* variables"
    return f"cloud {shown_value(cloud)}" + (f" in {file}" if file else "")


def _check_entry_exists(loaded: loader.OpenStackConfig, cloud: str | None) -> None:
    names = loaded.get_cloud_names()
    # Without files and variables, openstacksdk invents an empty cloud of this name.
    is_invented = cloud == "defaults" and loaded.config_filename is None
    if cloud in names and not is_invented:
        return
    if loaded.config_filename is None:
        fault = f"no clouds.yaml was found in {', '.join(searched_files())}"
    else:
        fault = f"no such cloud; the file has {', '.join(map(shown_value, names))}"
    if cloud is None or is_invented:
        fault = f"neither `cloud` nor `endpoint` is set, nor is OS_AUTH_URL; {fault}"
    raise CloudConfigError(fault)


def _refuse_prompt(prompt: str | None = None) -> NoReturn:
    raise CloudConfigError(f"auth has no {(prompt or 'secret').strip(': ').lower()}")


def _without_keystone(
    endpoint: str | None, token: str | None, tls: ClientTls, api: RequestedVersion
) -> StaticTokenAuthenticator:
    if not endpoint:
        raise CloudConfigError("auth has no `endpoint`, which this auth_type needs")
    if token is not None:
        try:
            check_token(token)
        except ValueError as error:
            raise CloudConfigError(f"token {error}") from None
    return StaticTokenAuthenticator(_base_url("endpoint", endpoint), token, tls, api)


def _api_version(value: object) -> RequestedVersion:
    """Return the version that ``image_api_version`` names.

    openstacksdk reads it as a number or as text, with or without a minor version.
    """
    return API_VERSIONS[_major_version(value)]


def _major_version(value: object) -> str:
    return _MINOR_VERSION.sub("", str(value).strip().removeprefix("v"))


def _unknown_api_version(config: Mapping[str, Any], *, variables: bool) -> str:
    value = config.get("image_api_version")
    if _major_version(value) in API_VERSIONS:
        return ""
    setting = "OS_IMAGE_API_VERSION" if variables else "image_api_version"
    text = str(value)
    shown = NOT_SHOWN if looks_secret(text) else excerpt(value)
    return f"{setting}: {shown} is no version of the Image API; accepted: 1 or 2"


def _endpoint_override(config: CloudRegion) -> str | None:
    url = config.get_endpoint("image")
    return _base_url("image_endpoint_override", url) if url else None


def _base_url(key: str, url: str) -> str:
    try:
        return base_url(url)
    except ValueError as error:
        raise CloudConfigError(f"{key}: {error}") from None
