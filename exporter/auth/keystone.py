"""Authentication with Keystone, by the plugins of keystoneauth."""

import logging
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from keystoneauth1.access import AccessInfo
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.session import Session

from exporter.auth.base import AuthError, check_token
from exporter.auth.catalog import CatalogEntry, Endpoint, find_endpoint
from exporter.auth.errors import auth_error, safe_line
from exporter.auth.session import DeadlineSession
from exporter.text import single_line
from exporter.transport.tls_files import ClientTls
from exporter.transport.url import project_at_end

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token as Keystone issued it, with the endpoint from its catalog.

    Attributes:
        endpoint: Base URL of the Image service.
        value: The token.
        expires_at: Unix seconds by Keystone's clock.
        lifetime: Seconds from issue to expiry, which do not depend on our clock.
        project_id: ID of the project that the token is for.
    """

    endpoint: str
    value: str = field(repr=False)
    expires_at: float
    lifetime: float
    project_id: str = ""


MAX_PROJECT = 64
"""Characters of a project's ID in an error."""

SCOPE_NEEDED = "name project_id or project_name"
"""Advice if a token is not scoped to a project: such a token sees no image of any project."""


class Keystone:
    """Client that authenticates by one plugin, for one entry of the catalog."""

    def __init__(
        self,
        plugin: BaseIdentityPlugin,
        entry: CatalogEntry,
        *,
        tls: ClientTls,
        timeout: float,
        secrets: set[str],
        hint: str = "",
    ) -> None:
        """Prepare the sign-in; ``hint`` is a likely reason if Keystone refuses it."""
        self.timeout = timeout
        self._plugin = plugin
        self._entry = entry
        self._tls = tls
        self._secrets = secrets
        self._hint = hint
        self._host = urlsplit(plugin.auth_url or "").netloc.rpartition("@")[2]
        self._first_endpoint: Endpoint | None = None
        self._session: DeadlineSession | None = None

    def authenticate(self) -> IssuedToken:
        """Get a token and the endpoint, within ``timeout``; one thread at a time.

        The catalog in the same response names the endpoint. So the endpoint needs no request of its
        own, and every new token brings the current one.

        Raises:
            AuthError: There is no token or no endpoint.
        """
        with DeadlineSession(self.timeout) as session:
            self._session = session
            try:
                self._plugin.invalidate()
                return self._issued_token(self._plugin.get_access(self._wrap(session)))
            except AuthError:
                raise
            except Exception as error:  # noqa: BLE001  # a bug must not end authentication forever
                failure = auth_error(error, timed_out=session.timed_out, secrets=self._secrets)
                if failure.reason == "internal":
                    # The message is left out, because it may contain anything.
                    trace = "".join(traceback.format_tb(error.__traceback__))
                    log.error("sign-in crashed: %s\n%s", type(error).__name__, trace)
            finally:
                self._session = None
        # Raised outside of the handler, so that no traceback shows the original with its secrets.
        detail = f"Keystone at {safe_line(self._host, self._secrets)}: {failure.detail}"
        if self._hint and failure.reason in {"unauthorized", "rejected"}:
            detail += f"; {self._hint}"
        raise AuthError(failure.reason, detail, failure.retry_after)

    @property
    def configured_endpoint(self) -> str | None:
        """The endpoint to use instead of that in the catalog, if one is configured."""
        return self._entry.override

    def abort(self) -> None:
        """Abort an attempt in progress."""
        session = self._session
        if session is not None:
            session.abort()

    def _wrap(self, session: DeadlineSession) -> Session:
        # Without auth: after a 401 for the version document, keystoneauth would authenticate again,
        # within this attempt, and wait forever for its own lock.
        return Session(
            session=session,
            verify=self._tls.verify,
            cert=self._tls.cert,
            app_name="openstack-image-exporter",
        )

    def _issued_token(self, access: AccessInfo) -> IssuedToken:
        value, expires, issued = access.auth_token, access.expires, access.issued
        if value is None or expires is None or issued is None:
            raise ValueError("a token without value, issue time or expiry time")
        check_token(value)
        expires_at, lifetime = (
            _unix_seconds(expires),
            _unix_seconds(expires) - _unix_seconds(issued),
        )
        if lifetime <= 0:
            raise ValueError("a token that has never been valid")
        project_id = access.project_id or ""
        return IssuedToken(self._endpoint(access), value, expires_at, lifetime, project_id)

    def _endpoint(self, access: AccessInfo) -> str:
        _check_scope(access)
        if self._entry.override:
            return _override_for(self._entry.override, access.project_id or "")
        endpoint = find_endpoint(access.service_catalog, self._entry)
        first = self._first_endpoint
        if first is not None and endpoint.is_moved_from(first):
            raise AuthError(
                "rejected",
                f"the catalog no longer has the image endpoint of region {first.region}, service "
                f"{first.service}, but that of region {endpoint.region}, service "
                f"{endpoint.service}, which may have other images; name region_name and "
                "image_service_name, or restart to use it",
            )
        self._first_endpoint = endpoint
        return endpoint.url


def _override_for(endpoint: str, project_id: str) -> str:
    """Return the configured endpoint for a token of this project.

    keystoneauth accepts ``%(project_id)s`` in it. Another project's ID in it would make every image
    look deleted: Glance answers 404 for the images of other projects, and an empty list.

    Raises:
        AuthError: The endpoint is that of another project.
    """
    for name in ("project_id", "tenant_id"):
        endpoint = endpoint.replace(f"%({name})s", project_id)
    project = project_at_end(endpoint)
    if project in {"", project_id.replace("-", "").lower()}:
        return endpoint
    raise AuthError(
        "rejected",
        f"image_endpoint_override ends in project {project}, but the token is for project "
        f"{single_line(project_id, MAX_PROJECT)}; correct one of them",
    )


def _check_scope(access: AccessInfo) -> None:
    """Check that a token is for a project.

    Glance answers 404 for the images of projects to any other token, and an empty list, so every
    image would look deleted.

    Raises:
        AuthError: The token is for no project.
    """
    if access.project_scoped:
        return
    fault = f"the token is for no project: {SCOPE_NEEDED}"
    if access.system_scoped:
        fault = f"the token is scoped to the system, a project is needed: {SCOPE_NEEDED}"
        fault += " instead of system_scope"
    elif access.domain_scoped:
        fault = f"the token is scoped to a domain, a project is needed: {SCOPE_NEEDED}"
        fault += " instead of domain_id or domain_name"
    raise AuthError("rejected", fault)


def _unix_seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
