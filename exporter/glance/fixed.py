"""Sign-in without Keystone: a configured endpoint, and one token for ever or none."""

from exporter.glance.signin import Credential, SignInError, SignInStats, Tls, identity_of


def check_token(token: str) -> None:
    """Raise ``ValueError``, which does not repeat it, if ``token`` cannot stand in a header."""
    if not token:
        raise ValueError("is empty")
    if not all("!" <= character <= "~" for character in token):
        raise ValueError("holds white space, control or non-ASCII characters")


class FixedSignIn:
    """The same credential always. ``token`` must pass ``check_token``."""

    def __init__(self, endpoint: str, token: str | None, tls: Tls) -> None:
        self.tls = tls
        self.identity = identity_of(endpoint, token)
        self._credential = Credential(endpoint, token, expires_at=None, generation=1)

    def credential(self) -> Credential:
        """The configured endpoint and token."""
        return self._credential

    def renew(self, stale: Credential) -> Credential:
        """There is nothing to renew: always raises ``SignInError``."""
        detail = "the configured token is refused"
        if stale.token is None:
            detail = "the endpoint asks for a token, and none is configured"
        raise SignInError("unauthorized", detail)

    def stats(self) -> SignInStats:
        """Nothing is ever signed in to."""
        return SignInStats(authentications=0, failures=0, expires_at=None)

    def close(self) -> None:
        """Nothing is held."""
