"""Tests of exporter.glance.openstack_config and from_openstack: what is configured wrongly."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from openstack.config import loader

from exporter.auth import clouds_yaml
from exporter.auth.base import CloudConfigError
from exporter.auth.sign_in import sign_in
from tests.auth.clouds import clean, configure
from tests.support.program import GOLDEN, environment, settings_file

AUTH = {"auth_url": "http://192.0.2.1/v3", "username": "demo", "password": "hunter2"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    clean(monkeypatch)


def wrong(**configured: Any) -> str:
    """What is said of it."""
    with pytest.raises(CloudConfigError) as caught:
        sign_in("n", timeout=1, **configured)
    message = str(caught.value)
    assert message.startswith("cloud 'n': ")
    assert message.isprintable()
    assert "hunter2" not in message
    assert caught.value.__cause__ is None
    return message.removeprefix("cloud 'n': ")


def test_a_cloud_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and the clouds that are in it are named."""
    path = configure(monkeypatch, tmp_path, {"a": {"auth": AUTH}, "b": {}})
    assert wrong(cloud="c") == f"cloud 'c' in {path}: no such cloud; known are 'a', 'b'"


def test_no_cloud_chosen_of_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several clouds none is taken by chance."""
    path = configure(monkeypatch, tmp_path, {"a": {"auth": AUTH}, "b": {}})
    assert wrong() == (
        "the OS_* variables: neither `cloud` nor `endpoint` is given, and OS_AUTH_URL is not set; "
        "no such cloud; known are 'a', 'b'"
    )
    assert path.exists()


def test_nothing_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where clouds.yaml was looked for is said."""
    monkeypatch.setattr(loader, "CONFIG_SEARCH_PATH", ["/here", "/there", "/here"])
    looked = "no clouds.yaml was found; looked at /here/clouds.yaml, /there/clouds.yaml"
    assert wrong(cloud="lab") == f"cloud 'lab': {looked}"
    assert wrong() == (
        "cloud 'defaults': neither `cloud` nor `endpoint` is given, and OS_AUTH_URL is not set; "
        + looked
    )


@pytest.mark.parametrize("variable", ["OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE"])
@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("x.yaml", "clouds:\n  a: {auth: [hunter2\n", "is not valid YAML, line 3, column 1"),
        ("x.yaml", "password: *hunter2\n", "is not valid YAML, line 1, column 11"),
        ("x.yaml", "password: !hunter2 x\n", "is not valid YAML, line 1, column 11"),
        ("x.yaml", "a: \x07\n", "is not text in UTF-8"),
        ("x.yaml", b"a: \xff\n", "is not text in UTF-8"),
        ("x.yaml", "- a\n", "holds no mapping `clouds`"),
        ("x.yaml", "", "holds no mapping `clouds`"),
        ("x.yaml", "clouds: [a]\n", "holds no mapping `clouds`"),
        ("x.json", '{"clouds": hunter2}', "is not valid JSON, line 1, column 12"),
    ],
)
def test_a_broken_file(
    variable: str,
    name: str,
    content: str | bytes,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that cannot be read is said to be so, by place and without its words."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setenv(variable, str(path))
    assert wrong(cloud="a") == f"{path}: {fault}"


def test_a_file_that_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What exists and cannot be read is not passed over."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path))
    assert wrong(cloud="a") == f"{tmp_path}: cannot be read: Is a directory"


def test_a_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was named must exist."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nowhere/clouds.yaml")
    told = "OS_CLIENT_CONFIG_FILE=/nowhere/clouds.yaml: there is no such file"
    assert wrong(cloud="a") == told


@pytest.mark.parametrize(
    ("cloud", "fault"),
    [
        ({"auth": {}}, "auth lacks the password"),
        ({"auth": {"auth_url": "http://x", "username": "demo"}}, "auth lacks the password"),
        (
            {"auth": {"username": "demo", "password": "hunter2"}},
            "Auth plugin requires parameters which were not given: auth_url",
        ),
        (
            {"auth_type": "v3token", "auth": {"auth_url": "http://x"}},
            "cannot be understood: "
            "Token.__init__() missing 1 required positional argument: 'token'",
        ),
        ({"auth_type": "magic", "auth": AUTH}, "The plugin magic could not be found"),
        (
            {"auth": {**AUTH, "usernane": "demo"}},
            "cannot be understood: "
            "Password.__init__() got an unexpected keyword argument 'usernane'",
        ),
        ({"auth": "hunter2"}, "cannot be understood (ValueError)"),
        ("hunter2", "cannot be understood (AttributeError)"),
        (
            {"profile": "nobody", "auth": AUTH},
            "Couldn't find the vendor profile nobody for the cloud lab",
        ),
        (
            {
                "auth_type": "v3websso",
                "auth": {"auth_url": "http://x", "identity_provider": "i", "protocol": "p"},
            },
            "auth_type v3websso asks a person, and nobody is here to answer",
        ),
        (
            {"auth": {**AUTH, "auth_url": "ftp://demo:hunter2@x"}},
            "auth_url must be an http or https URL with a host",
        ),
        (
            {"auth": AUTH, "image_endpoint_override": "x:9292"},
            "image_endpoint_override: an endpoint must be an http or https URL with a host",
        ),
        (
            {"auth": AUTH, "cacert": "/nowhere/ca.pem"},
            "the certificate file /nowhere/ca.pem does not exist",
        ),
        (
            {"auth": AUTH, "cert": "/nowhere/cert.pem"},
            "the certificate file /nowhere/cert.pem does not exist",
        ),
        ({"auth_type": "none"}, "auth lacks `endpoint`, which this auth_type needs"),
        (
            {"auth_type": "admin_token", "auth": {"endpoint": "http://x", "token": "hunter2 "}},
            "token holds white space, control or non-ASCII characters",
        ),
        (
            {
                "auth_type": "http_basic",
                "auth": {"endpoint": "http://x", "username": "demo", "password": "hunter2"},
            },
            "auth_type http_basic gives no token",
        ),
    ],
)
def test_an_entry_that_cannot_work(
    cloud: object, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says what is wrong with an entry."""
    path = configure(monkeypatch, tmp_path, {"lab": cloud})
    # From Python 3.13 on, some of it ends in a suggestion of Python's own.
    told = wrong(cloud="lab").removeprefix(f"cloud 'lab' in {path}: ")
    assert told.startswith(fault)


def test_no_one_is_ever_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a password is missing, nothing waits for someone to type it."""
    monkeypatch.setenv("OS_AUTH_URL", "http://192.0.2.1/v3")
    monkeypatch.setenv("OS_USERNAME", "demo")
    assert wrong() == "cloud 'envvars': auth lacks the password"


def test_the_profile_of_a_known_vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Public clouds and their regions are known without being configured."""
    mine = {"username": "demo", "password": "hunter2"}
    configure(monkeypatch, tmp_path, {"otc": {"profile": "otc", "auth": mine}})
    found = clouds_yaml.load("otc", "eu-nl", None)
    assert found.config["auth"]["auth_url"] == "https://iam.eu-nl.otc.t-systems.com/v3"
    assert found.get_region_name("image") == "eu-nl"


def test_warnings_of_openstacksdk_stay_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What openstacksdk warns its own users of is no concern of an operator."""
    cloud = {"auth": AUTH, "region_name": "a,b"}
    configure(monkeypatch, tmp_path, {"lab": cloud})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert clouds_yaml.load("lab", "b", None).get_region_name("image") == "b"
    assert told == []


NO_HOME = """
import os, pwd, sys
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
if sys.argv[1] == "gone":
    os.mkdir("gone"); os.chdir("gone"); os.rmdir("../gone")
from exporter.cli import main
sys.exit(main(["check", f"--config.file={sys.argv[2]}"]))
"""


@pytest.mark.parametrize(
    ("what", "home", "fault"),
    [
        ("home", None, "this user has no home directory; set HOME to a folder, such as /"),
        (
            "home",
            "not/absolute",
            "this user has no home directory; set HOME to a folder, such as /",
        ),
        ("gone", "/", "the working directory is not there any more; start in one that is"),
    ],
)
def test_openstacksdk_has_nowhere_to_look(
    tmp_path: Path, what: str, home: str | None, fault: str
) -> None:
    """As in a container whose user stands in no passwd: one line and status 2, no traceback."""
    file = settings_file(tmp_path, {"name": "n", "cloud": "lab", "images": [GOLDEN]})
    environ = environment(tmp_path, **({} if home is None else {"HOME": home}))
    kept = {
        key: value
        for key, value in environ.items()
        if not key.startswith("XDG_") and (key, home) != ("HOME", None)
    }
    ran = subprocess.run(
        [sys.executable, "-c", NO_HOME, what, str(file)],
        cwd=tmp_path,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == f"cloud 'n': clouds.yaml cannot be looked for: {fault}\n"
    assert ran.returncode == 2
