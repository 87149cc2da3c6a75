import ctypes
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from openstack.config import loader

from exporter.auth import clouds_yaml
from exporter.auth.base import CloudConfigError
from exporter.auth.factory import OpenStackSource, build_authenticator
from tests.support.clouds_yaml import clear_configuration, write_clouds_yaml
from tests.support.program import GOLDEN, environment, settings_file

NO_AUTH = {"endpoint": "http://192.0.2.1"}
AUTH = {"auth_url": "http://192.0.2.1/v3", "username": "demo", "password": "hunter2"}


@pytest.fixture(autouse=True)
def _clear_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_configuration(monkeypatch)


def config_error(**config: Any) -> str:
    """Return the error of a configuration, without the name of the cloud."""
    with pytest.raises(CloudConfigError) as caught:
        build_authenticator("n", timeout=1, **config)
    message = str(caught.value)
    assert message.startswith("cloud 'n': ")
    assert message.isprintable()
    assert "hunter2" not in message
    assert caught.value.__cause__ is None
    return message.removeprefix("cloud 'n': ")


def test_unknown_cloud_is_an_error_with_the_file_and_its_clouds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clouds_yaml(monkeypatch, tmp_path, {"a": {"auth": AUTH}, "b": {}})
    assert config_error(cloud="c") == f"cloud 'c' in {path}: no such cloud; the file has 'a', 'b'"


def test_cloud_must_be_chosen_if_clouds_yaml_has_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clouds_yaml(monkeypatch, tmp_path, {"a": {"auth": AUTH}, "b": {}})
    assert config_error() == (
        "the OS_* variables: neither `cloud` nor `endpoint` is set, nor is OS_AUTH_URL; "
        "no such cloud; the file has 'a', 'b'"
    )
    assert path.exists()


def test_error_without_clouds_yaml_lists_the_searched_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loader, "CONFIG_SEARCH_PATH", ["/here", "/there", "/here"])
    searched = "no clouds.yaml was found in /here/clouds.yaml, /there/clouds.yaml"
    assert config_error(cloud="lab") == f"cloud 'lab': {searched}"
    assert config_error() == (
        "cloud 'defaults': neither `cloud` nor `endpoint` is set, nor is OS_AUTH_URL; " + searched
    )


@pytest.mark.parametrize("variable", ["OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE"])
@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("x.yaml", "clouds:\n  a: {auth: [hunter2\n", "is not valid YAML, line 3, column 1"),
        ("x.yaml", "password: *hunter2\n", "is not valid YAML, line 1, column 11"),
        ("x.yaml", "password: !hunter2 x\n", "is not valid YAML, line 1, column 11"),
        ("x.yaml", "password: !!int ''\n", "is not valid YAML, line 1, column 11"),
        ("x.yaml", "password: !!bool hunter2\n", "is not valid YAML, line 1, column 11"),
        ("x.yaml", "password: !!timestamp hunter2\n", "is not valid YAML, line 1, column 11"),
        ("x.yaml", f"a: 1{':59' * 40}\n", "is not valid YAML, line 1, column 4"),
        ("x.yaml", f"a: 1{':59' * 40}.5\n", "is not valid YAML, line 1, column 4"),
        ("x.yaml", f"a: 0x{'f' * 10_000}\n", "is not valid YAML, line 1, column 4"),
        ("x.yaml", f"a: {'[' * 500}{']' * 500}\n", "is nested deeper than 50 levels"),
        ("x.yaml", "a: \x07\n", "is not text in UTF-8"),
        ("x.yaml", b"a: \xff\n", "is not text in UTF-8"),
        ("x.yaml", "- a\n", "has no mapping `clouds`"),
        ("x.yaml", "", "has no mapping `clouds`"),
        ("x.yaml", "clouds: [a]\n", "has no mapping `clouds`"),
        ("x.json", '{"clouds": hunter2}', "is not valid JSON, line 1, column 12"),
    ],
)
def test_invalid_file_is_reported_by_position_without_quoting_it(
    variable: str,
    name: str,
    content: str | bytes,
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setenv(variable, str(path))
    assert config_error(cloud="a") == f"{path}: {error}"


def test_directory_in_place_of_a_file_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path))
    assert config_error(cloud="a") == f"{tmp_path}: cannot be read: Is a directory"


def test_file_named_by_a_variable_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nowhere/clouds.yaml")
    message = "OS_CLIENT_CONFIG_FILE=/nowhere/clouds.yaml: there is no such file"
    assert config_error(cloud="a") == message


@pytest.mark.parametrize(
    ("cloud", "error"),
    [
        ({"auth": {}}, "auth has no password"),
        ({"auth": {"auth_url": "http://x", "username": "demo"}}, "auth has no password"),
        (
            {
                "auth_type": "v3applicationcredential",
                "auth": {"auth_url": "http://x", "application_credential_id": "c"},
            },
            "auth has no application_credential_secret, which auth_type v3applicationcredential "
            "needs",
        ),
        (
            {"auth": {"username": "demo", "password": "hunter2"}},
            "Auth plugin requires parameters which were not given: auth_url",
        ),
        (
            {"auth_type": "v3token", "auth": {"auth_url": "http://x"}},
            "auth has no token, which auth_type v3token needs",
        ),
        (
            {"auth_type": "magic", "auth": AUTH},
            "auth_type 'magic' is unknown; accepted, for example: password, "
            "v3applicationcredential or v3token",
        ),
        *(
            (
                {"auth": AUTH, "interface": interface},
                "interface has to be public, internal or admin, or a list of them",
            )
            for interface in ({"image": "public"}, ["public", 5], [["public"]])
        ),
        (
            {"auth": {**AUTH, "usernane": "demo"}},
            "auth.usernane is not an option of auth_type password; did you mean username?",
        ),
        ({"auth": "hunter2"}, "is invalid (ValueError)"),
        ("hunter2", "is invalid (AttributeError)"),
        (
            {"profile": "nobody", "auth": AUTH},
            "Couldn't find the vendor profile nobody for the cloud lab",
        ),
        (
            {
                "auth_type": "v3websso",
                "auth": {"auth_url": "http://x", "identity_provider": "i", "protocol": "p"},
            },
            "auth_type v3websso is interactive, which an exporter cannot use",
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
        ({"auth_type": "none"}, "auth has no `endpoint`, which this auth_type needs"),
        (
            {"auth_type": "admin_token", "auth": {"endpoint": "http://x", "token": "hunter2 "}},
            "token contains white space, control or non-ASCII characters",
        ),
        (
            {
                "auth_type": "http_basic",
                "auth": {"endpoint": "http://x", "username": "demo", "password": "hunter2"},
            },
            "auth_type http_basic provides no token",
        ),
    ],
)
def test_invalid_entry_is_an_error_in_one_line(
    cloud: object, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clouds_yaml(monkeypatch, tmp_path, {"lab": cloud})
    # Python 3.13 and later append suggestions to some of them.
    message = config_error(cloud="lab").removeprefix(f"cloud 'lab' in {path}: ")
    assert message.startswith(error)


def region_of(cloud: str | None, region: str) -> str:
    config = clouds_yaml.load_cloud_region(cloud, region, None)
    return str(config.get_region_name("image"))


def test_region_of_the_settings_overrides_that_of_clouds_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": AUTH, "region_name": "North"}})
    assert region_of("lab", "South") == "South"
    assert region_of("lab", "North") == "North"


def test_region_of_the_settings_overrides_os_region_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {**AUTH, "region_name": "North"}.items():
        monkeypatch.setenv(f"OS_{key.upper()}", value)
    assert region_of(None, "South") == "South"


def test_region_must_be_in_the_list_of_regions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list may have settings for each region."""
    regions = [{"name": "South", "values": {"interface": "internal"}}, "North"]
    path = write_clouds_yaml(monkeypatch, tmp_path, {"lab": {"auth": AUTH, "regions": regions}})
    config = clouds_yaml.load_cloud_region("lab", "South", None)
    assert (config.get_region_name("image"), config.get_interface("image")) == ("South", "internal")
    error = config_error(cloud="lab", region="East")
    assert error.startswith(
        f"cloud 'lab' in {path}: Region East is not a valid region name for cloud lab. Valid "
        "choices are South,North."
    )


@pytest.mark.parametrize(
    ("value", "api"),
    [
        *((value, "v2") for value in ("2", 2, 2.9, "2.9", "v2", "v2.15")),
        *((value, "v1") for value in ("1", 1, "v1.1")),
        *((value, "auto") for value in ("latest", "", None)),
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    "entry", [{"auth": AUTH}, {"auth_type": "none", "auth": NO_AUTH}], ids=["keystone", "none"]
)
def test_image_api_version_names_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object, api: str, entry: dict[str, Any]
) -> None:
    write_clouds_yaml(monkeypatch, tmp_path, {"a": {**entry, "image_api_version": value}})
    assert build_authenticator("n", cloud="a", timeout=1).api == api


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("two", "'two'"),
        ("3", "'3'"),
        (0, "'0'"),
        (True, "True"),
        ("2.x", "'2.x'"),
        (".2", "'.2'"),
        (["2"], "a list"),
    ],
)
def test_image_api_version_that_does_not_exist_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object, shown: str
) -> None:
    entry = {"auth": AUTH, "image_api_version": value}
    path = write_clouds_yaml(monkeypatch, tmp_path, {"a": entry})
    assert config_error(cloud="a") == (
        f"cloud 'a' in {path}: image_api_version: {shown} is no version of the Image API; "
        "accepted: 1 or 2"
    )


def test_os_image_api_version_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key, value in AUTH.items():
        monkeypatch.setenv(f"OS_{key.upper()}", value)
    monkeypatch.setenv("OS_IMAGE_API_VERSION", "two")
    assert config_error() == (
        "cloud 'envvars': OS_IMAGE_API_VERSION: 'two' is no version of the Image API; "
        "accepted: 1 or 2"
    )


def test_one_source_reads_the_files_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the start takes a time that grows with the square of the number of clouds."""
    path = write_clouds_yaml(monkeypatch, tmp_path, {"a": {"auth": AUTH}, "b": {"auth": AUTH}})
    source = OpenStackSource()
    build_authenticator("n", source=source, cloud="a", timeout=1)
    path.unlink()
    build_authenticator("n", source=source, cloud="b", timeout=1)
    build_authenticator("n", source=source, cloud="a", region="South", timeout=1)
    assert "there is no such file" in config_error(cloud="a")


def test_file_with_an_impossible_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "x" * 300
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", name)
    hidden = "(not shown: it may be a secret)"
    assert config_error(cloud="a") == f"{hidden}: cannot be read: File name too long"


def test_missing_password_never_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_AUTH_URL", "http://192.0.2.1/v3")
    monkeypatch.setenv("OS_USERNAME", "demo")
    assert config_error() == "cloud 'envvars': auth has no password"


def test_profile_of_a_public_cloud_is_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = {"username": "demo", "password": "hunter2"}
    write_clouds_yaml(monkeypatch, tmp_path, {"otc": {"profile": "otc", "auth": auth}})
    region = clouds_yaml.load_cloud_region("otc", "eu-nl", None)
    assert region.config["auth"]["auth_url"] == "https://iam.eu-nl.otc.t-systems.com/v3"
    assert region.get_region_name("image") == "eu-nl"


def test_warnings_of_openstacksdk_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = {"auth": AUTH, "region_name": "a,b"}
    write_clouds_yaml(monkeypatch, tmp_path, {"lab": cloud})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert clouds_yaml.load_cloud_region("lab", "b", None).get_region_name("image") == "b"
    assert caught == []


DROP_CAPABILITY = 24
"""PR_CAPBSET_DROP of prctl(2)."""


def give_up_root_access() -> None:
    """Let the program that is started next enter no closed folder, not even as root."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
        libc.prctl(DROP_CAPABILITY, capability, 0, 0, 0)


def check_without_root_access(folder: Path, **variables: str) -> str:
    """Run ``check``, which must fail, and return what it printed."""
    file = settings_file(folder, {"name": "n", "cloud": "lab", "images": [GOLDEN]})
    check = subprocess.run(
        [sys.executable, "-m", "exporter", "check", f"--config.file={file}"],
        cwd=folder,
        env={**environment(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=give_up_root_access,  # this process has no other threads
    )
    assert check.returncode == 2
    return check.stderr


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that nobody may enter."""
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)
    yield closed
    closed.chmod(0o700)


def test_folder_that_may_not_be_entered_is_passed_over(tmp_path: Path, closed: Path) -> None:
    error = check_without_root_access(tmp_path, HOME=str(closed), XDG_CONFIG_HOME=str(closed))
    assert error.startswith("cloud 'n': cloud 'lab': no clouds.yaml was found in ")
    assert f"{closed}/openstack/clouds.yaml" in error
    assert len(error.splitlines()) == 1


def test_named_file_in_a_folder_that_may_not_be_entered_is_an_error(
    tmp_path: Path, closed: Path
) -> None:
    file = closed / "clouds.yaml"
    error = check_without_root_access(tmp_path, OS_CLIENT_CONFIG_FILE=str(file))
    assert error == f"cloud 'n': {file}: cannot be read: Permission denied\n"


UNKNOWN_USER = """
import pwd, sys
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
from exporter.cli import main
sys.exit(main(["check", f"--config.file={sys.argv[1]}"]))
"""


def check_in(folder: Path, command: Sequence[str], home: str | None) -> str:
    """Run ``check``, which must fail, and return what it printed about clouds.yaml."""
    variables = environment(folder)
    variables = {name: value for name, value in variables.items() if not name.startswith("XDG_")}
    variables.pop("HOME", None)
    if home is not None:
        variables["HOME"] = home
    check = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert check.returncode == 2
    prefix = "cloud 'n': cannot search for clouds.yaml: "
    assert check.stderr.startswith(prefix)
    return check.stderr.removeprefix(prefix)


@pytest.mark.parametrize("home", [None, "not/absolute"])
def test_user_without_home_directory_is_an_error_in_one_line(
    tmp_path: Path, home: str | None
) -> None:
    """In a container, the user may have no entry in passwd."""
    file = settings_file(tmp_path, {"name": "n", "cloud": "lab", "images": [GOLDEN]})
    command = [sys.executable, "-c", UNKNOWN_USER, str(file)]
    error = "this user has no home directory; set HOME to a directory, for example /\n"
    assert check_in(tmp_path, command, home) == error


def test_removed_working_directory_is_an_error_in_one_line(tmp_path: Path) -> None:
    """Started as a module: Python 3.13.0 itself fails in such a directory with ``-c``."""
    file = settings_file(tmp_path, {"name": "n", "cloud": "lab", "images": [GOLDEN]})
    removed = tmp_path / "removed"
    removed.mkdir()
    exporter = [sys.executable, "-m", "exporter", "check", f"--config.file={file}"]
    command = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *exporter]
    error = "the working directory was removed; start in one that exists\n"
    assert check_in(removed, command, home="/") == error


def test_named_file_wins_over_the_variable_and_has_to_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clouds_yaml(monkeypatch, tmp_path, {"other": {"auth": AUTH}})
    named = tmp_path / "named.yaml"
    named.write_text(yaml.safe_dump({"clouds": {"lab": {"auth": AUTH}}}))
    build_authenticator("n", timeout=1, cloud="lab", config_file=named)
    assert config_error(cloud="other", config_file=named) == (
        f"cloud 'other' in {named}: no such cloud; the file has 'lab'"
    )
    named.unlink()
    assert config_error(cloud="lab", config_file=named) == (
        f"os_client_config={named}: there is no such file"
    )
