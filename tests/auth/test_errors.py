import logging
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keystoneauth1 import exceptions
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.session import Session

from exporter.auth.base import AuthError
from exporter.auth.catalog import CatalogEntry
from exporter.auth.errors import MAX_DETAIL, auth_error, safe_line, secrets_of
from exporter.auth.keystone import Keystone
from exporter.transport.tls_files import ClientTls


def with_cause(error: Exception, cause: Exception) -> Exception:
    """Return ``error`` as if ``cause`` had led to it."""
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
        (with_cause(exceptions.ConnectFailure(), TimeoutError()), "timeout"),
        (exceptions.DiscoveryFailure(), "rejected"),
        (with_cause(exceptions.DiscoveryFailure(), exceptions.BadGateway()), "server_error"),
        (with_cause(exceptions.MissingAuthPlugin(), exceptions.Unauthorized()), "unauthorized"),
        (exceptions.OptionError(), "rejected"),
        (OSError("no such file"), "tls"),
        (KeyError("token"), "rejected"),
        (ZeroDivisionError(), "internal"),
    ],
)
def test_exception_has_one_reason_which_may_be_that_of_its_cause(
    error: Exception, reason: str
) -> None:
    assert auth_error(error, timed_out=False, secrets=()).reason == reason


def test_failure_after_the_deadline_is_a_timeout() -> None:
    """The session aborts its connections at the deadline."""
    assert auth_error(exceptions.ConnectFailure(), timed_out=True, secrets=()).reason == "timeout"


@given(st.text(), st.sets(st.text(alphabet="abc/*@", min_size=1)))
def test_detail_is_one_printable_line_of_limited_length(text: str, secrets: set[str]) -> None:
    detail = safe_line(text, secrets)
    assert detail.isprintable()
    assert len(detail) <= MAX_DETAIL


def test_secrets_and_users_in_urls_are_redacted() -> None:
    """The longest secret first, so that no part of it remains."""
    line = safe_line("ab, abcd and http://me:pw@cloud/x", {"ab", "abcd"})
    assert line == "***, *** and http://***@cloud/x"


def test_secrets_are_found_by_their_keys_at_any_depth() -> None:
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
        "image_status_code_retries": 5,
    }
    assert secrets_of(config) == {"p1", "p2", "3", "p4"}


class BrokenPlugin(BaseIdentityPlugin):
    """A plugin with a bug whose message contains a secret."""

    def get_auth_ref(self, session: Session) -> NoReturn:
        raise ZeroDivisionError(session, self.auth_url)


def test_crash_is_logged_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    """The message may contain a secret."""
    keystone = Keystone(
        BrokenPlugin("http://me:hunter2@cloud:5000/v3"),
        CatalogEntry("r", "public"),
        tls=ClientTls(),
        timeout=5,
        secrets=set(),
    )
    with caplog.at_level(logging.DEBUG), pytest.raises(AuthError) as caught:
        keystone.authenticate()
    assert (
        str(caught.value) == "internal: Keystone at cloud:5000: internal error: ZeroDivisionError"
    )
    assert caught.value.__context__ is None
    assert "in get_auth_ref" in caplog.text
    assert "hunter2" not in caplog.text
