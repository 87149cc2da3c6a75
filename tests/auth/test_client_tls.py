from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from exporter.auth.base import CloudConfigError
from exporter.transport.tls_files import ClientTls
from tests.auth.sign_in import authenticator
from tests.support.clouds_yaml import write_clouds_yaml

AUTH = {"auth_url": "https://192.0.2.1/v3", "username": "demo", "password": "hunter2"}
PEM = trustme.CA().issue_cert("localhost").private_key_pem.bytes().decode()


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return str(path)


def tls_of(folder: Path, monkeypatch: pytest.MonkeyPatch, **entry: object) -> ClientTls:
    write_clouds_yaml(monkeypatch, folder, {"lab": {"auth": AUTH, **entry}})
    return authenticator(cloud="lab").tls


@pytest.mark.parametrize(
    ("value", "verify"),
    [
        *((value, False) for value in (False, "false", "False", "no", "off", "0", 0, " false\n")),
        *((value, True) for value in (True, None, "true", "TRUE", "yes", "on", "1", 1)),
    ],
    ids=repr,
)
def test_verify_may_be_a_boolean_as_text(
    value: object, verify: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Templates and variables have no booleans."""
    assert tls_of(tmp_path, monkeypatch, verify=value) == ClientTls(verify, None)


def test_verify_may_be_a_boolean_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {**AUTH, "verify": "false"}.items():
        monkeypatch.setenv(f"OS_{key.upper()}", value)
    assert authenticator().tls == ClientTls(False, None)


def test_verify_and_cacert_may_name_a_bundle(
    bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tls_of(tmp_path, monkeypatch, verify=bundle) == ClientTls(bundle, None)
    assert tls_of(tmp_path, monkeypatch, verify="yes", cacert=bundle) == ClientTls(bundle, None)


@pytest.mark.parametrize(
    "entry",
    [
        {"verify": False, "cacert": "/nowhere"},
        {"verify": "no", "cacert": "/nowhere"},
        {"insecure": True, "cacert": "/nowhere", "verify": "/nowhere"},
    ],
)
def test_bundle_is_not_needed_without_verification(
    entry: Mapping[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tls_of(tmp_path, monkeypatch, **entry).verify is False


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({"verify": ""}, "verify (OS_VERIFY) is empty; accepted: true, false, or a CA bundle"),
        (
            {"verify": "flase"},
            "the certificate file flase does not exist; correct verify (OS_VERIFY)",
        ),
        (
            {"verify": ["a"]},
            "verify (OS_VERIFY) is not text; accepted: the name of a file, in quotes",
        ),
        ({"cacert": PEM}, "cacert (OS_CACERT) names no file, and is not shown"),
        ({"verify": PEM}, "verify (OS_VERIFY) names no file, and is not shown"),
        ({"cert": PEM}, "cert (OS_CERT) names no file, and is not shown"),
        (
            {"cert": "FILE", "key": PEM},
            "key (OS_KEY) names no file, and is not shown because it may be a secret, such as PEM "
            "text; accepted: the name of a file; write the text to a file and name that",
        ),
        (
            {"cert": "FILE/cert.pem"},
            "the certificate file FILE/cert.pem cannot be used: Not a directory; correct cert "
            "(OS_CERT)",
        ),
        ({"cert": "/" + "x" * 180 + "/" + "y" * 3000}, "cert (OS_CERT) names no file"),
    ],
)
def test_value_that_is_not_a_file_is_an_error_in_one_line(
    entry: Mapping[str, object],
    error: str,
    bundle: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = {
        key: value.replace("FILE", bundle) if isinstance(value, str) else value
        for key, value in entry.items()
    }
    with pytest.raises(CloudConfigError) as caught:
        tls_of(tmp_path, monkeypatch, **entry)
    message = str(caught.value)
    assert message.startswith(f"cloud 'name': {error.replace('FILE', bundle)}")
    assert message.isprintable()
    assert len(message) <= 400
