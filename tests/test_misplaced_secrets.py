"""A secret in place of the name of a file is never shown, whichever setting holds it."""

import base64
import os
from pathlib import Path

import pytest
import yaml

from exporter.cli import main
from exporter.config import SettingsError
from exporter.web_security import load_security
from tests.support.program import GOLDEN, environment
from tests.support.web_config import WebConfigFolder

AUTH = {
    "auth_url": "https://127.0.0.1:1/v3",
    "username": "demo",
    "password": "pass-of-the-account",
    "project_name": "demo",
    "user_domain_name": "Default",
    "project_domain_name": "Default",
}
SHOWN = 12
"""Characters of a secret that must not appear in a row."""

FORMS = (
    "PEM",
    "PEM in base64",
    "body of PEM",
    "body on one line",
    "broken PEM",
    "token",
    "hex",
    "URL",
    "JSON",
    "named",
    "header",
)
ALWAYS_HIDDEN = [form for form in FORMS if form not in {"hex", "URL"}]
"""Forms that no error shows, whatever the setting is for. A profile may be a URL."""

HEX = "8f14e45fceea167a5a36dedd4bea2543"
NAMES = (
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP",
    "gAAAAABnbRkpQx3vHk2Zc8oXqz4T1sWfLmYe0uJdGaBv",
    HEX,
)
"""Secrets that could be the name of a flag."""

VARIABLES = (
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "OS_CLIENT_CONFIG_FILE",
    "OS_CLIENT_SECURE_FILE",
    "OS_CACERT",
    "OS_AUTH_TYPE",
)


def secret(form: str, folder: WebConfigFolder) -> str:
    """Return a secret in this form."""
    key = (folder.path / "key.pem").read_text()
    body = "\n".join(key.splitlines()[1:-1])
    return {
        "PEM": key,
        "PEM in base64": base64.b64encode(key.encode()).decode(),
        "body of PEM": f"{body}\n",
        "body on one line": body.replace("\n", ""),
        "broken PEM": key.replace("-----BEGIN", "BEGIN"),
        "token": "gAAAAABn" + base64.urlsafe_b64encode(bytes(range(40, 139))).decode(),
        "hex": "8f14e45fceea167a5a36dedd4bea2543",
        "URL": "https://demo:pass-of-the-account@127.0.0.1:5000/v3",
        "named": "password=hunter2-of-the-account",
        "header": f"Basic {base64.b64encode(b'demo:pass-of-the-account').decode()}",
        "JSON": f'{{"secret":"{base64.urlsafe_b64encode(bytes(range(90, 130))).decode()}"}}',
    }[form]


@pytest.fixture(params=FORMS)
def value(request: pytest.FixtureRequest, folder: WebConfigFolder) -> str:
    return secret(request.param, folder)


@pytest.fixture
def folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    restored_logging: None,  # noqa: ARG001
) -> WebConfigFolder:
    """Change into a folder with a good configuration, in an environment without settings."""
    for name in {*os.environ} - {*environment(tmp_path)}:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    # openstacksdk searches in the folder in which it was imported.
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    monkeypatch.chdir(tmp_path)
    write_clouds()
    write_settings(cloud="lab")
    return WebConfigFolder(tmp_path)


def write_clouds(**entry: object) -> None:
    """Write clouds.yaml with these keys of its entry."""
    document = {"clouds": {"lab": {"auth": AUTH, **entry}}}
    Path("clouds.yaml").write_text(yaml.safe_dump(document))


def write_settings(**cloud: object) -> None:
    """Write the settings with these keys of the only cloud."""
    document = {"clouds": [{"name": "a", "images": [GOLDEN], **cloud}]}
    Path("exporter.yml").write_text(yaml.safe_dump(document))


def assert_refused(value: str, capsys: pytest.CaptureFixture[str], *argv: str) -> None:
    """Run ``check``, which must fail with one short line, without the value."""
    assert main(["check", *(argv or ["--config.file=exporter.yml"])]) == 2
    out, err = capsys.readouterr()
    assert len((out + err).splitlines()) == 1
    assert len(out + err) <= 500
    assert_hidden(value, out + err)


def assert_hidden(value: str, text: str) -> None:
    """Assert that a text has no part of the value, apart from the first and last line of PEM."""
    for line in value.splitlines():
        if "-----" not in line:
            last = max(1, len(line) - SHOWN + 1)
            assert not [i for i in range(last) if line[i : i + SHOWN] in text], text


def test_in_clouds_yaml(
    value: str, folder: WebConfigFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = str(folder.path / "cert.pem")
    entries: tuple[dict[str, object], ...] = (
        {"verify": value},
        {"cacert": value},
        {"cert": value},
        {"cert": certificate, "key": value},
        {"auth": {**AUTH, "cacert": value}},
    )
    if "//" not in value:
        entries = (*entries, {"image_endpoint_override": value})
    for entry in entries:
        write_clouds(**entry)
        assert_refused(value, capsys)


@pytest.mark.parametrize("key", ["profile", "auth_type"])
@pytest.mark.parametrize("form", ALWAYS_HIDDEN)
def test_in_place_of_a_name_in_clouds_yaml(
    key: str, form: str, folder: WebConfigFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    value = secret(form, folder)
    write_clouds(**{key: value})
    assert_refused(value, capsys, "--config.file=exporter.yml", "--log.level=debug")


@pytest.mark.parametrize("form", [*ALWAYS_HIDDEN, "URL"])
def test_in_place_of_a_value(
    form: str, folder: WebConfigFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    value = secret(form, folder)
    file = "--config.file=exporter.yml"
    for flag in ("web.listen-address", "web.telemetry-path", "interval"):
        argument = f"--{flag}={value.replace(',', ' ')}"
        assert_refused(value, capsys, "--offline", file, argument)
    assert_refused(value, capsys, file, f"--baseline=missing/{value}")
    write_clouds(image_api_version=value)
    assert_refused(value, capsys)
    Path("clouds.yaml").write_text(yaml.safe_dump({"clouds": {value: {"auth": AUTH}}}))
    assert_refused(value, capsys)


@pytest.mark.parametrize("setting", ["token_file", "region", "interface", "image_service_name"])
@pytest.mark.parametrize("form", ALWAYS_HIDDEN)
def test_in_the_settings(
    setting: str, form: str, folder: WebConfigFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    value = secret(form, folder)
    is_file = setting == "token_file"
    access = {"endpoint": "http://127.0.0.1:1"} if is_file else {"cloud": "lab"}
    write_settings(**access, **{setting: value})
    if is_file or not value.isprintable():
        assert_refused(value, capsys)


@pytest.mark.parametrize("value", ["8f14e45fceea167a5a36dedd4bea2543", "hunter2", "Pass word!"])
def test_short_token_in_place_of_its_file(
    value: str, folder: WebConfigFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    write_settings(endpoint="http://127.0.0.1:1", token_file=value)
    assert_refused(value, capsys)
    write_settings(cloud="lab")
    write_clouds(cert=str(folder.path / "cert.pem"), key=value)
    assert_refused(value, capsys)


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.usefixtures("folder")
def test_in_variables(
    variable: str,
    value: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, value)
    if variable in {"OS_CACERT", "OS_AUTH_TYPE"}:
        monkeypatch.setenv("OS_AUTH_URL", AUTH["auth_url"])
        write_settings(cloud="envvars")
    assert_refused(value, capsys)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("value", NAMES)
def test_in_place_of_a_flag_a_variable_or_an_image(
    value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = "--config.file=exporter.yml"
    for flag in (f"--{value}", f"--{value}=x", f"-{value}", f"--token{value}", f"--{value}token"):
        assert_refused(value, capsys, file, flag)
    if value != HEX:
        assert main(["show", file, value]) == 2
        assert_hidden(value, "".join(capsys.readouterr()))
    monkeypatch.setenv(f"IMAGE_EXPORTER_{value}", "x")
    assert_refused(value, capsys)


@pytest.mark.usefixtures("folder")
def test_in_flags_and_their_variables(
    value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_refused(value, capsys, f"--config.file={value}")
    monkeypatch.setenv("IMAGE_EXPORTER_CONFIG__FILE", value)
    assert_refused(value, capsys, "--log.level=info")
    with pytest.raises(SettingsError) as raised:
        load_security(Path(value))
    assert_hidden(value, str(raised.value))


@pytest.mark.parametrize("key", ["cert_file", "key_file", "client_ca_file", "cert", "key"])
def test_in_the_web_configuration(key: str, value: str, folder: WebConfigFolder) -> None:
    tls = {
        "cert_file": "cert.pem",
        "key_file": "key.pem",
        "client_ca_file": "ca.pem",
        "client_auth_type": "RequireAndVerifyClientCert",
        key: value,
    }
    with pytest.raises(SettingsError) as raised:
        load_security(folder.write(yaml.safe_dump({"tls_server_config": tls})))
    assert key in str(raised.value)
    assert_hidden(value, str(raised.value))
