"""Authentication without Keystone: a configured endpoint, with a fixed token or none."""

from exporter.auth.base import AuthError, AuthStats, AuthToken, identity_of
from exporter.model.api_traits import RequestedVersion
from exporter.transport.tls_files import ClientTls


class StaticTokenAuthenticator:
    """Source of one token that never changes. It must pass ``check_token``."""

    def __init__(
        self, endpoint: str, token: str | None, tls: ClientTls, api: RequestedVersion = "auto"
    ) -> None:
        self.endpoint = endpoint
        self.tls = tls
        self.api = api
        self.identity = identity_of(endpoint, token)
        self._token = AuthToken(endpoint, token, expires_at=None, generation=1)

    def token(self) -> AuthToken:
        """Return the configured token."""
        return self._token

    def renew(self, rejected: AuthToken) -> AuthToken:
        """Raise ``AuthError``: there is no other token."""
        detail = "the configured token is refused"
        if rejected.value is None:
            detail = "the endpoint requires a token, and none is configured"
        raise AuthError("unauthorized", detail)

    def stats(self) -> AuthStats:
        """Return zeros: there are no attempts to get a token."""
        return AuthStats(authentications=0, failures=0, expires_at=None)

    def close(self) -> None:
        """Do nothing."""
