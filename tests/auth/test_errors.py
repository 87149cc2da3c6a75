"""Tests of exporter.glance.failure."""

import logging
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keystoneauth1 import exceptions
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.session import Session

from exporter.auth.base import AuthError
from exporter.auth.errors import MAX_DETAIL, auth_error, safe_line, secrets_of
from exporter.auth.keystone import CatalogueEntry, Keystone
from exporter.transport.tls_files import ClientTls


def caused(error: Exception, cause: Exception) -> Exception:
    """``error`` as it looks when ``cause`` led to it."""
    error.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (exceptions.Unauthorized(), "unauthorized"),
        (exceptions.Forbidden(), "forbidden"),
        (exceptions.TooManyRequests(), "rate_limited"),
        (exceptions.BadGateway(), "server_error"),
        (exceptions.NotFound(), "rejected"),
        (exceptions.SSLError(), "tls"),
        (exceptions.ConnectTimeout(), "timeout"),
        (exceptions.ConnectFailure(), "connection"),
        (caused(exceptions.ConnectFailure(), TimeoutError()), "timeout"),
        (exceptions.DiscoveryFailure(), "rejected"),
        (caused(exceptions.DiscoveryFailure(), exceptions.BadGateway()), "server_error"),
        (caused(exceptions.MissingAuthPlugin(), exceptions.Unauthorized()), "unauthorized"),
        (exceptions.OptionError(), "rejected"),
        (OSError("no such file"), "tls"),
        (KeyError("token"), "rejected"),
        (ZeroDivisionError(), "internal"),
    ],
)
def test_reasons(error: Exception, reason: str) -> None:
    """Each exception has one reason, that of its cause where it says nothing by itself."""
    assert auth_error(error, timed_out=False, secrets=()).reason == reason


def test_what_comes_too_late_is_a_timeout() -> None:
    """A connection that we cut ourselves is not Keystone's fault."""
    assert auth_error(exceptions.ConnectFailure(), timed_out=True, secrets=()).reason == "timeout"


@given(st.text(), st.sets(st.text(alphabet="abc/*@", min_size=1)))
def test_details_are_one_safe_line(text: str, secrets: set[str]) -> None:
    """Whatever a server says gives one printable line without a secret, and not a long one."""
    detail = safe_line(text, secrets)
    assert detail.isprintable()
    assert len(detail) <= MAX_DETAIL


def test_secrets_and_users_of_urls_are_left_out() -> None:
    """The longest secret goes first, so that none is left in part."""
    told = safe_line("ab, abcd and http://me:pw@cloud/x", {"ab", "abcd"})
    assert told == "***, *** and http://***@cloud/x"


def test_secrets_of_a_configuration() -> None:
    """What a key calls secret is found at any depth; what names or addresses is not."""
    config = {
        "auth": {
            "auth_url": "http://cloud",
            "username": "demo",
            "application_credential_id": "id",
            "password": "p1",
            "application_credential_secret": "p2",
            "token": 3,
            "auth_methods": [{"passcode": ["p4", None, ""]}],
        },
        "verify": True,
    }
    assert secrets_of(config) == {"p1", "p2", "3", "p4"}


class BrokenPlugin(BaseIdentityPlugin):
    """A plugin with a bug that tells a secret."""

    def get_auth_ref(self, session: Session) -> NoReturn:
        """Fail, and tell the URL of ``session``."""
        raise ZeroDivisionError(session, self.auth_url)


def test_a_bug_is_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    """A bug ends one sign-in only, and where it is goes to the log, but not what it says."""
    keystone = Keystone(
        BrokenPlugin("http://me:hunter2@cloud:5000/v3"),
        CatalogueEntry("r", "public"),
        tls=ClientTls(),
        timeout=5,
        secrets=set(),
    )
    with caplog.at_level(logging.DEBUG), pytest.raises(AuthError) as caught:
        keystone.authenticate()
    assert str(caught.value) == "internal: Keystone at cloud:5000: a bug: ZeroDivisionError"
    assert caught.value.__context__ is None
    assert "in get_auth_ref" in caplog.text
    assert "hunter2" not in caplog.text
