"""Sign-in without Keystone: a configured endpoint, and one token for ever or none."""

from exporter.auth.base import AuthError, AuthStats, AuthToken, identity_of
from exporter.transport.tls_files import ClientTls


def check_token(token: str) -> None:
    """Raise ``ValueError``, which does not repeat it, if ``token`` cannot stand in a header."""
    if not token:
        raise ValueError("is empty")
    if not all("!" <= character <= "~" for character in token):
        raise ValueError("holds white space, control or non-ASCII characters")


class StaticTokenAuthenticator:
    """The same credential always. ``token`` must pass ``check_token``."""

    def __init__(self, endpoint: str, token: str | None, tls: ClientTls) -> None:
        self.tls = tls
        self.identity = identity_of(endpoint, token)
        self._credential = AuthToken(endpoint, token, expires_at=None, generation=1)

    def credential(self) -> AuthToken:
        """The configured endpoint and token."""
        return self._credential

    def renew(self, stale: AuthToken) -> AuthToken:
        """There is nothing to renew: always raises ``AuthError``."""
        detail = "the configured token is refused"
        if stale.token is None:
            detail = "the endpoint asks for a token, and none is configured"
        raise AuthError("unauthorized", detail)

    def stats(self) -> AuthStats:
        """Nothing is ever signed in to."""
        return AuthStats(authentications=0, failures=0, expires_at=None)

    def close(self) -> None:
        """Nothing is held."""
