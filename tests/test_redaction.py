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


@pytest.mark.parametrize("end", ["-----END RSA PRIVATE KEY-----\n", ""])
def test_pem_text_is_always_redacted(end: str) -> None:
    """A text that was cut off has no end."""
    text = f"file -----BEGIN RSA PRIVATE KEY-----\nMIIEvQ\nAbc=\n{end}"
    assert redact(text).split() == ["file", "***"]
    assert Redactor().redact(text).split() == ["file", "***"]
