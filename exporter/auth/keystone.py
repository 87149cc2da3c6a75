"""One sign-in with Keystone, by the plugins of keystoneauth."""

import logging
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from keystoneauth1 import exceptions
from keystoneauth1.access import AccessInfo
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.session import Session

from exporter.auth.base import AuthError
from exporter.auth.errors import failure, one_line
from exporter.auth.session import DeadlineSession
from exporter.auth.static_token import check_token
from exporter.transport.tls_files import ClientTls
from exporter.transport.url import base_url

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """What a sign-in gave.

    ``expires_at`` is Unix seconds by Keystone's clock. ``life`` is seconds from issue to expiry
    and needs no clock of ours to be right.
    """

    endpoint: str
    token: str = field(repr=False)
    expires_at: float
    life: float


@dataclass(frozen=True, slots=True)
class ImageService:
    """Which entry of the catalogue to use; ``override`` is an endpoint that replaces it."""

    region: str | None
    interface: str | list[str]
    service_type: str = "image"
    service_name: str | None = None
    override: str | None = None


class Keystone:
    """Signs in as one plugin, for one entry of the catalogue."""

    def __init__(
        self,
        plugin: BaseIdentityPlugin,
        service: ImageService,
        *,
        tls: ClientTls,
        timeout: float,
        secrets: set[str],
    ) -> None:
        self.timeout = timeout
        self._plugin = plugin
        self._service = service
        self._tls = tls
        self._secrets = secrets
        self._host = urlsplit(plugin.auth_url or "").netloc.rpartition("@")[2]
        self._session: DeadlineSession | None = None

    def authenticate(self) -> IssuedToken:
        """Fetch a token and find the endpoint, within ``timeout``; raises ``AuthError``.

        One thread at a time. The endpoint is read from the catalogue that comes with the token,
        so it costs no request, and one that has moved is found.
        """
        with DeadlineSession(self.timeout) as http:
            self._session = http
            try:
                self._plugin.invalidate()
                return self._grant(self._plugin.get_access(self._wrap(http)))
            except AuthError:
                raise
            except Exception as error:  # noqa: BLE001  # a bug must not end signing in for ever
                found = failure(error, late=http.late, secrets=self._secrets)
                if found.reason == "internal":
                    # The message is left out: nobody knows what is in it.
                    trace = "".join(traceback.format_tb(error.__traceback__))
                    _log.error("signing in failed by a bug: %s\n%s", type(error).__name__, trace)
            finally:
                self._session = None
        # Outside of the handler, so that no traceback shows the original, secrets included.
        detail = f"Keystone at {one_line(self._host, self._secrets)}: {found.detail}"
        raise AuthError(found.reason, detail, found.retry_after)

    def abort(self) -> None:
        """End a sign-in that is under way."""
        session = self._session
        if session is not None:
            session.abort()

    def _wrap(self, http: DeadlineSession) -> Session:
        # Without auth: a 401 to the version document would make keystoneauth sign in for it,
        # within this very sign-in, and wait for ever for its own lock.
        return Session(
            session=http,
            verify=self._tls.verify,
            cert=self._tls.cert,
            app_name="openstack-image-exporter",
        )

    def _grant(self, access: AccessInfo) -> IssuedToken:
        token, expires, issued = access.auth_token, access.expires, access.issued
        if token is None or expires is None or issued is None:
            raise ValueError("a token without value, beginning or end")
        check_token(token)
        expires_at, life = _unix(expires), _unix(expires) - _unix(issued)
        if life <= 0:
            raise ValueError("a token that was never valid")
        return IssuedToken(self._endpoint(access), token, expires_at, life)

    def _endpoint(self, access: AccessInfo) -> str:
        service = self._service
        if service.override:
            return service.override
        try:
            url = access.service_catalog.url_for(
                service_type=service.service_type,
                interface=service.interface,
                region_name=service.region or None,
                service_name=service.service_name,
            )
            return base_url(str(url))
        except exceptions.EndpointNotFound:
            fault = "has no"
        except ValueError:
            fault = "has an unusable URL for the"
        where = f"{service.service_type} endpoint for region {service.region or 'any'}"
        raise AuthError("rejected", f"the catalogue {fault} {where}, interface {service.interface}")


def _unix(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
