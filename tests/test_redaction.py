"""Redaction of secrets in errors; that of log lines is tested with these."""

import pytest

from exporter.redaction import Redactor, redact


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("nothing secret", "nothing secret"),
        ("the password is hunter2!", "the password is ***!"),
        ("hunter2-long before hunter2", "*** before ***"),
        ("https://user:password@host/path", "https://***@host/path"),
    ],
)
def test_secrets_and_credentials_in_urls_are_redacted(text: str, redacted: str) -> None:
    assert redact(text, ["hunter2", "hunter2-long"]) == redacted


def test_secrets_can_be_added_to_a_redactor() -> None:
    redactor = Redactor()
    assert redactor.redact("hunter2") == "hunter2"
    redactor.add("")
    redactor.add("hunter2")
    assert redactor.redact("hunter2") == "***"
