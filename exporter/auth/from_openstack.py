"""Sign-in as clouds.yaml or the ``OS_*`` variables describe it."""

import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.noauth import NoAuth
from keystoneauth1.token_endpoint import Token
from openstack.config.cloud_region import CloudRegion

from exporter.auth import clouds_yaml
from exporter.auth.base import Authenticator, CloudConfigError, identity_of
from exporter.auth.errors import secrets_of
from exporter.auth.keystone import ImageService, Keystone
from exporter.auth.static_token import StaticTokenAuthenticator, check_token
from exporter.auth.token_cache import CachedTokenAuthenticator
from exporter.model.instant import Instant
from exporter.transport.tls_files import ClientTls
from exporter.transport.url import base_url


def from_openstack(
    cloud: str | None,
    region: str | None,
    interface: str | None,
    *,
    timeout: float,
    clock: Callable[[], Instant],
    random: Callable[[], float],
) -> Authenticator:
    """The way to sign in that openstacksdk's configuration asks for.

    ``auth_type`` ``none`` and ``admin_token`` need no Keystone. Raises ``CloudConfigError``.
    """
    found = clouds_yaml.load(cloud, region, interface)
    tls = _tls(found)
    override = _override(found)
    plugin = found.get_auth()
    if isinstance(plugin, NoAuth | Token):
        token = plugin.token if isinstance(plugin, Token) else None
        return _fixed(override or plugin.endpoint, token, tls)
    if not isinstance(plugin, BaseIdentityPlugin):
        raise CloudConfigError(f"auth_type {found.config['auth_type']} gives no token")
    parts = urlsplit(plugin.auth_url or "")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise CloudConfigError("auth_url must be an http or https URL with a host")
    service = ImageService(
        region=region or found.get_region_name("image") or None,
        interface=interface or found.get_interface("image") or "public",
        service_type=found.get_service_type("image") or "image",
        service_name=found.get_service_name("image"),
        override=override,
    )
    secrets = secrets_of({"auth": found.config["auth"]})
    keystone = Keystone(plugin, service, tls=tls, timeout=timeout, secrets=secrets)
    identity = identity_of(found.config, service)
    return CachedTokenAuthenticator(
        keystone, tls=tls, clock=clock, random=random, identity=identity
    )


def _fixed(endpoint: str | None, token: str | None, tls: ClientTls) -> StaticTokenAuthenticator:
    if not endpoint:
        raise CloudConfigError("auth lacks `endpoint`, which this auth_type needs")
    if token is not None:
        try:
            check_token(token)
        except ValueError as error:
            raise CloudConfigError(f"token {error}") from None
    return StaticTokenAuthenticator(_checked("endpoint", endpoint), token, tls)


def _override(found: CloudRegion) -> str | None:
    url = found.get_endpoint("image")
    return _checked("image_endpoint_override", url) if url else None


def _checked(key: str, url: str) -> str:
    try:
        return base_url(url)
    except ValueError as error:
        raise CloudConfigError(f"{key}: {error}") from None


def _tls(found: CloudRegion) -> ClientTls:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a CA bundle counts for nothing without verification
        verify, cert = found.get_requests_verify_args()
    bundle = [verify] if isinstance(verify, str) else []
    pair = [cert] if isinstance(cert, str) else list(cert or ())
    for path in [*bundle, *pair]:
        if not Path(path).exists():
            raise CloudConfigError(f"the certificate file {path} does not exist")
    if verify is False:
        # Asked for in so many words, and otherwise said again on every request.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return ClientTls(True if verify is None else verify, cert)
