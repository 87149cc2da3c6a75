"""Mistakes in credentials are reported before a request, or beside Keystone's refusal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.auth.base import CloudConfigError
from exporter.simulator.keystone import KeystoneFault, SimulatedKeystone
from tests.auth.sign_in import authenticator, failure
from tests.support.clouds_yaml import password_auth, without, write_clouds_yaml

URL = {"auth_url": "http://127.0.0.1:1/v3"}
AUTH = {**URL, "username": "demo", "password": "hunter2", "user_domain_name": "Default"}
OIDC = {**URL, "identity_provider": "idp", "protocol": "openid", "client_id": "hunter2"}
NOT_PASSWORD = "is missing: the credentials are not for auth_type password"


def error_of(**config: Any) -> str:
    with pytest.raises(CloudConfigError) as caught:
        authenticator(**config)
    message = str(caught.value)
    assert message.isprintable()
    assert "hunter2" not in message
    return message.partition(": ")[2].partition(": ")[2]


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (
            {
                "auth": {
                    **URL,
                    "application_credential_id": "i",
                    "application_credential_secret": "s",
                }
            },
            f"auth_type: v3applicationcredential, beside auth, {NOT_PASSWORD}",
        ),
        ({"auth": {**URL, "token": "hunter2"}}, f"auth_type: v3token, beside auth, {NOT_PASSWORD}"),
        (
            {"auth": {**OIDC, "username": "u", "password": "hunter2"}},
            f"auth_type: v3oidcpassword, beside auth, {NOT_PASSWORD}",
        ),
        (
            {"auth": {**OIDC, "client_secret": "hunter2"}},
            f"auth_type: v3oidcclientcredentials, beside auth, {NOT_PASSWORD}",
        ),
        (
            {"auth": {**OIDC, "access_token": "hunter2"}},
            f"auth_type: v3oidcaccesstoken, beside auth, {NOT_PASSWORD}",
        ),
        (
            {"auth_type": "password", "auth": {**URL, "user_id": "u", "passcode": "hunter2"}},
            f"auth_type: v3totp, beside auth, {NOT_PASSWORD}",
        ),
        (
            {"auth": {**URL, "auth_type": "v3token", "token": "hunter2"}},
            "auth.auth_type belongs beside auth, not under it",
        ),
        *(
            ({"auth": {**AUTH, key: "hunter2"}}, f"auth.{key} belongs beside auth, not under it")
            for key in ("verify", "cacert", "region_name", "interface")
        ),
        (
            {"auth": {**URL, "ak": "hunter2", "sk": "hunter2"}},
            "ak is an access key, with which Keystone has no sign-in; accepted: username and "
            "password, an application credential, or a token",
        ),
        ({"auth": without(AUTH, "password")}, "auth has no password"),
    ],
)
def test_credentials_in_the_wrong_place_are_named(
    entry: Mapping[str, Any], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": entry})
    assert error_of(cloud="lab") == error


def test_missing_auth_type_is_named_as_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_AUTH_URL", "http://127.0.0.1:1/v3")
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_ID", "i")
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_SECRET", "hunter2")
    assert error_of() == f"OS_AUTH_TYPE=v3applicationcredential {NOT_PASSWORD}"


@pytest.mark.parametrize("key", ["password", "username", "project_name"])
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *((text, "a number") for text in ("0123", "1:30", "0x1f", "1_000", "1.10", "1.5e+5", "+5")),
        *((text, "true or false") for text in ("yes", "off", "True")),
        *((text, "a date") for text in ("2026-11-28", "2026-11-28 10:00:00")),
    ],
)
@pytest.mark.parametrize("is_secure", [False, True])
def test_credential_that_yaml_does_not_read_as_text_is_refused(
    key: str,
    text: str,
    kind: str,
    is_secure: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    auth = {"auth": AUTH}
    other = {"auth": {key: "TEXT"}}
    files = [auth, other] if is_secure else [{"auth": {**AUTH, key: "TEXT"}}]
    write_clouds_yaml(monkeypatch, tmp_path, *({"lab": entry} for entry in files))
    path = tmp_path / ("secure.yaml" if is_secure else "clouds.yaml")
    path.write_text(path.read_text().replace("TEXT", text))
    expected = f"auth.{key}: YAML reads this value as {kind}, not as text; put it in quotes"
    assert error_of(cloud="lab") == expected
    path.write_text(path.read_text().replace(text, f'"{text}"'))
    authenticator(cloud="lab")


@pytest.mark.parametrize(("value", "kind"), [(["a"], "a list"), ({"a": "b"}, "a mapping")])
def test_list_or_mapping_in_place_of_a_text_is_refused(
    value: object, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": {**AUTH, "password": value}}})
    expected = f"auth.password: YAML reads this value as {kind}, not as text; put it in quotes"
    assert error_of(cloud="lab") == expected


@pytest.mark.parametrize(("key", "is_refused"), [("password", True), ("project_id", False)])
def test_plain_number_is_refused_unless_openstacksdk_converts_it(
    key: str, is_refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": {**AUTH, key: 12345678}}})
    if is_refused:
        assert "YAML reads this value as a number" in error_of(cloud="lab")
    else:
        authenticator(cloud="lab")


def test_value_of_another_entry_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"auth": {**AUTH, "password": 123}}
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": AUTH}, "other": other})
    authenticator(cloud="lab")


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        *(
            (key, value, f"OS_{key.upper()} begins or ends with a line break; remove it")
            for key in ("password", "username", "auth_url")
            for value in ("hunter2\n", "hunter2\r\n", "\nhunter2")
        ),
        ("username", "'hunter2'", "OS_USERNAME begins and ends with a quote"),
        ("project_name", '"hunter2"', "OS_PROJECT_NAME begins and ends with a quote"),
    ],
)
def test_credential_with_a_line_break_or_quotes_is_refused(
    key: str, value: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such values come from Kubernetes Secrets and from files of variables."""
    for name, text in {**AUTH, key: value}.items():
        monkeypatch.setenv(f"OS_{name.upper()}", text)
    assert error_of().startswith(error)


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize(
    ("missing", "changed", "hint"),
    [
        (
            ["user_domain_name"],
            {},
            "auth has username without user_domain_name or user_domain_id, which is often "
            "`Default`",
        ),
        (
            ["project_domain_name"],
            {},
            "auth has project_name without project_domain_name or project_domain_id, which is "
            "often `Default`",
        ),
        (
            [],
            {"password": "'hunter2'"},
            "auth.password begins and ends with a quote, which is part of the value",
        ),
        ([], {}, ""),
        (["user_domain_name", "project_domain_name"], {"default_domain_id": "default"}, ""),
    ],
)
def test_refused_sign_in_names_what_is_suspicious(
    status: int,
    missing: list[str],
    changed: Mapping[str, str],
    hint: str,
    keystone: SimulatedKeystone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    auth = {**without(password_auth(keystone), *missing), **changed}
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": auth}})
    keystone.fault = KeystoneFault(status)
    detail = failure(cloud="lab").detail
    assert "hunter2" not in detail
    assert detail.partition(f"(HTTP {status})")[2] == (f"; {hint}" if hint else "")


def test_password_in_quotes_is_sent_as_it_is(
    keystone: SimulatedKeystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = password_auth(keystone, password="'quoted'")
    keystone.users = {"demo": "'quoted'"}
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": auth}})
    assert keystone.accepts(authenticator(cloud="lab").token().value)


@pytest.mark.parametrize("insecure", ["yes", "true", 1, True])
def test_insecure_may_be_a_boolean_as_text(
    insecure: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": AUTH, "insecure": insecure}})
    assert authenticator(cloud="lab").tls.verify is False


def test_impossible_date_is_reported_by_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clouds_yaml(monkeypatch, tmp_path, {})
    path.write_text("clouds:\n  lab: {auth: {password: 2026-13-45}}\n")
    with pytest.raises(CloudConfigError, match=r"is not valid YAML, line 2, column 26"):
        authenticator(cloud="lab")
