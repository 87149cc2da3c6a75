"""Redaction of secrets in errors; that of log lines is tested with these."""

from pathlib import Path

import pytest

from exporter.redaction import (
    NOT_SHOWN,
    Redactor,
    looks_secret,
    redact,
    shown_file,
)


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


@pytest.mark.parametrize(
    "path",
    [
        "/etc/openstack-image-exporter/credentials/token",
        "/var/run/secrets/kubernetes.io/serviceaccount/..2026_11_23_11_02_43.123456789/token",
        "/home/pytest-of-root/pytest-0/test_key_in_place_of_a_file_is_never_shown0/web.yml",
        "~/.config/openstack/clouds.yaml",
        "C:/Program Files/exporter/prüfung.pem",
        "./hunter2",
    ],
)
def test_path_of_a_missing_file_is_shown(path: str) -> None:
    assert shown_file(path, may_be_secret=True) == path


@pytest.mark.parametrize(
    "value",
    [
        "8f14e45fceea167a5a36dedd4bea2543",
        "/home/MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "a\nb",
        "a" * 201,
        "-----BEGIN",
        "password=hunter2",
    ],
)
def test_name_of_a_missing_file_that_may_be_a_secret_is_not_shown(value: str) -> None:
    assert shown_file(value) == NOT_SHOWN


def test_single_word_is_shown_only_where_a_secret_is_unlikely() -> None:
    assert shown_file("exporter-settings") == "exporter-settings"
    assert shown_file("exporter-settings", may_be_secret=True) == NOT_SHOWN


def test_name_of_an_existing_file_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "8f14e45fceea167a5a36dedd4bea2543\n"
    assert shown_file(str(path)) == NOT_SHOWN
    path.write_text("")
    assert shown_file(str(path)) == f"{str(path)[:-1]}\\n"


def test_long_random_words_are_redacted_and_request_ids_are_not() -> None:
    token = "gAAAAABnQhUFx7Zk3mVd9wEr1TqYbN8sLp2Jc5Ga6Hf0Ki4Ou"
    request_id = "req-3c3d1d01-b48a-4639-8a88-08be3b9b5d78"
    path = "/a/long/path/of-words/that-lead-to-the/settings-of-the-exporter"
    assert redact(f"{token} refused, {request_id}, {path}") == f"*** refused, {request_id}, {path}"


@pytest.mark.parametrize("url", ["https://user:hunter2@host/ca.pem", "http://hunter2@proxy:3128"])
def test_url_with_a_password_in_place_of_a_path_is_not_shown(url: str) -> None:
    assert shown_file(url, may_be_secret=True) == NOT_SHOWN
    assert shown_file(url) == NOT_SHOWN


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJleHBvcnRlciJ9.dozjgNryP4J3jVmNHl0w5NyaUPv5VbFIzKWZ0Zs6Oz1"


def test_json_web_tokens_and_secrets_in_json_are_redacted() -> None:
    assert redact(f"{JWT} refused") == "*** refused"
    credential = '{"name": "exporter", "secret": "a \\" b", "x_password":"c", "id": "d"}'
    assert redact(f"{credential} refused") == (
        '{"name": "exporter", "secret": "***", "x_password":"***", "id": "d"} refused'
    )


def test_secrets_after_their_names_are_redacted_and_words_are_not() -> None:
    assert redact("host 'Basic ZGVtbzpodW50ZXIy' is wrong") == "host 'Basic ***' is wrong"
    assert redact("Basic YWJjOmRlZmdo was refused") == "Basic *** was refused"
    assert redact("GET /?token=hunter2&x=1, secret=hunter2") == "GET /?token=***&x=1, secret=***"
    assert redact("""token="my hunter2" PASSWORD='my & hunter2'""") == "token=*** PASSWORD=***"
    text = "basic authentication, bearer realm, token: no token, token_file=/run/token"
    assert redact(text) == text


def test_short_secret_does_not_split_a_longer_one() -> None:
    """Its parts would not look like a token."""
    assert redact(f"{JWT} refused, code 5", ["5"]) == "*** refused, code ***"


@pytest.mark.parametrize("password", ["a&b", "a b", "'a b"])
def test_no_part_of_a_short_secret_with_separators_is_shown(password: str) -> None:
    assert redact(f"POST /?password={password} failed", [password]) == "POST /?password=*** failed"


@pytest.mark.parametrize(
    "value",
    [
        JWT,
        "LS0tLS1CRUdJTiBQUklW",
        '{"application_credential_secret": "hunter2"}',
        "password=hunter2",
        "token: hunter2",
        "Basic ZGVtbzpodW50ZXIy",
        "Bearer hunter2",
        "https://demo:hunter2@keystone:5000/v3",
        "https:/demo:hunter2@keystone:5000/v3",
        "demo:hunter2@keystone",
        "0lYXEbMwJHn7L/EbfBn+yx4YgtDknBoT",
    ],
)
def test_value_that_may_be_a_secret_is_recognised(value: str) -> None:
    assert looks_secret(value)
    assert shown_file(value, may_be_secret=True) == NOT_SHOWN


@pytest.mark.parametrize(
    "value",
    [
        "3C3D1D01-b48a-4639-8a88-08be3b9b5d78",
        "8f14e45fceea167a5a36dedd4bea2543",
        "application_credential_secret",
        "openstack_image_exporter_state_write_failures_total",
        "https://keystone.example.com:5000/v3",
        "[2001:db8::1]:10292",
        "a token file",
    ],
)
def test_identifiers_and_words_are_no_secrets(value: str) -> None:
    assert not looks_secret(value)
