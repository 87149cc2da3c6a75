"""Files that would make a reader wait, or read without end."""

import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest
import requests
from openstack.config import loader

from exporter.auth import openstack_files
from exporter.auth.base import AuthError, CloudConfigError
from exporter.auth.clouds_yaml import OpenStackConfiguration
from exporter.auth.openstack_files import DEEPEST, LARGEST_FILE, MOST_VALUES, read_file
from exporter.auth.session import DeadlineSession
from exporter.auth.token_file import TokenFileAuthenticator
from exporter.clock import now, steady
from exporter.config import SettingsError, web_config, yaml_reader
from exporter.files import NOT_REGULAR, read_regular_file
from exporter.healthcheck import DaemonSettings
from exporter.transport.connector import Connector
from exporter.transport.http1 import RequestFailed
from exporter.transport.proxies import ProxySettings
from exporter.transport.tls_files import MAX_PEM_BYTES, ClientTls, TlsFileError, read_tls_files
from exporter.web_security import load_security


def read_clouds_yaml(path: Path) -> object:
    """Read a file as clouds.yaml."""
    return read_file([str(path)], "OS_CLIENT_CONFIG_FILE")


def read_profiles(path: Path) -> object:
    """Read a file of vendor profiles for an entry of clouds.yaml that has one."""
    clouds = path.with_name("clouds.yaml")
    clouds.write_text("clouds: {lab: {profile: vendor}}")
    with patch.object(loader, "VENDOR_FILES", [str(path)]):
        return OpenStackConfiguration(clouds).region("lab", None, None)


def load_key(path: Path) -> object:
    """Load a web configuration that names the file as its key."""
    web = path.with_name("web.yml")
    web.write_text(f"tls_server_config: {{cert_file: '{__file__}', key_file: '{path}'}}")
    return load_security(web)


def read_token(path: Path) -> object:
    """Read the file as that of a token."""
    authenticator = TokenFileAuthenticator("http://127.0.0.1:1", path, ClientTls(), now)
    try:
        return authenticator.token()
    except AuthError as error:
        raise CloudConfigError(error.detail) from None


READERS: dict[str, Callable[[Path], object]] = {
    "settings": yaml_reader.read_file,
    "web configuration": load_security,
    "key of the web configuration": load_key,
    "token": read_token,
    "clouds.yaml": read_clouds_yaml,
    "vendor profiles": read_profiles,
    "CA bundle": lambda path: read_tls_files(ClientTls(str(path))),
    "client certificate": lambda path: read_tls_files(ClientTls(True, str(path))),
    "client key": lambda path: read_tls_files(ClientTls(True, (__file__, str(path)))),
}


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_fifo_is_an_error(read: Callable[[Path], object], fifo: Path) -> None:
    with pytest.raises(
        (yaml_reader.UnreadableError, SettingsError, CloudConfigError, TlsFileError)
    ) as raised:
        read(fifo)
    assert str(raised.value).endswith(NOT_REGULAR)


@pytest.mark.parametrize("name", ["CA bundle", "client certificate", "client key"])
def test_huge_file_is_an_error_of_tls(name: str, tmp_path: Path) -> None:
    """OpenSSL would search all of it for a line of PEM."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(MAX_PEM_BYTES + 1)
    with pytest.raises(TlsFileError, match="cannot be used: it is larger than 16 MiB"):
        READERS[name](path)


def test_fifo_does_not_stop_the_health_check(fifo: Path) -> None:
    assert DaemonSettings(["--config.file", str(fifo)], {}).listen_address == ":10292"


def test_device_and_socket_and_folder_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(path))
        for wrong, reason in ((Path("/dev/zero"), NOT_REGULAR), (path, NOT_REGULAR)):
            with pytest.raises(OSError, match=reason):
                read_regular_file(wrong, 1)
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        read_regular_file(tmp_path, 1)


def test_file_that_becomes_a_fifo_before_it_is_opened_is_an_error(
    fifo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regular = tmp_path / "regular"
    regular.write_text("")
    monkeypatch.setattr(Path, "stat", lambda _: os.stat(regular))
    with pytest.raises(OSError, match=NOT_REGULAR):
        read_regular_file(fifo, 1)


def test_file_that_waits_for_content_is_an_error(tmp_path: Path) -> None:
    """/proc/kmsg is regular by its type, and has no content yet."""
    regular = tmp_path / "regular"
    regular.write_text("")
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    status = regular.stat()
    try:
        with (
            patch.object(os, "open", lambda *_: reader),
            patch.object(os, "fstat", lambda _: status),
            pytest.raises(OSError, match=NOT_REGULAR),
        ):
            read_regular_file(regular, 1)
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    "tls",
    [
        lambda path: ClientTls(str(path)),
        lambda path: ClientTls(True, str(path)),
        lambda path: ClientTls(True, (__file__, str(path))),
    ],
    ids=["CA bundle", "client certificate", "client key"],
)
def test_file_of_tls_that_becomes_a_fifo_makes_no_connection_wait(
    tls: Callable[[Path], ClientTls], fifo: Path
) -> None:
    settings = ProxySettings(None, tls(fifo).verify, tls(fifo).cert)
    connector = Connector("https://127.0.0.1:1", settings)
    with pytest.raises(RequestFailed, match=f"^tls: certificate file {fifo} .* {NOT_REGULAR}"):
        connector.connect(connector.create(steady() + 5.0))
    session = DeadlineSession(5.0)
    with closing(session), pytest.raises(requests.exceptions.SSLError, match=NOT_REGULAR):
        session.request("GET", "https://127.0.0.1:1", verify=settings.verify, cert=settings.cert)


def test_large_clouds_yaml_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "clouds.yaml"
    path.write_text("#" * (LARGEST_FILE + 1))
    with pytest.raises(CloudConfigError, match="larger than 1 MiB"):
        read_clouds_yaml(path)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[" * 100_000, f"is nested deeper than {DEEPEST} levels"),
        ("{a: " * 60, f"is nested deeper than {DEEPEST} levels"),
        (f"- [{'1,' * MOST_VALUES}]", f"has more than {MOST_VALUES} values and keys"),
        ("".join(f"- &a{i} [{f'*a{i - 1},' * 9}]\n" for i in range(1, 9)), "values and keys"),
        ("clouds: &a {lab: *a}", "contains itself through an alias"),
    ],
)
def test_clouds_yaml_of_an_absurd_size_is_refused_before_it_is_built(
    text: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openstack_files._Loader, "get_single_data", None)
    path = tmp_path / "clouds.yaml"
    path.write_text(f"- &a0 [1, 2]\n{text}" if text.startswith("- &") else text)
    with pytest.raises(CloudConfigError) as raised:
        read_clouds_yaml(path)
    assert fault in str(raised.value)


def test_clouds_yaml_may_have_anchors_and_merge_keys(tmp_path: Path) -> None:
    path = tmp_path / "clouds.yaml"
    path.write_text(
        "x: &x {username: a}\n"
        "clouds: {a: &a {auth: {<<: *x, password: &p b}}, b: *a, c: {auth: {password: *p}}}"
    )
    auth = {"username": "a", "password": "b"}
    clouds = {"a": {"auth": auth}, "b": {"auth": auth}, "c": {"auth": {"password": "b"}}}
    assert read_clouds_yaml(path) == clouds


def test_further_documents_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_reader, "MOST_NODES", 100)
    with pytest.raises(yaml_reader.UnreadableError, match="expected a single document"):
        yaml_reader.read_yaml("---\n- 1\n" * 100)


def test_many_nodes_are_refused_before_they_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_reader, "MOST_NODES", 100)
    monkeypatch.setattr(yaml_reader, "_check_nodes", lambda _: ())
    assert yaml_reader.read_yaml(f"[{'1,' * 99}]").data == [1] * 99
    for text in (f"[{'1,' * 100}]", f"[&a 1, {'*a,' * 99}]", f"[{'{},' * 100}]", "- \n" * 100):
        monkeypatch.setattr(yaml_reader._Loader, "get_single_node", None)
        with pytest.raises(yaml_reader.UnreadableError, match="more than 100 values"):
            yaml_reader.read_yaml(text)


def test_settings_of_100_000_images_fit() -> None:
    nodes_of_an_image = 1 + 2 + 2 + 1 + 1 + 2  # {id: …, alias: …, expect: {status: active}}
    assert 100_000 * nodes_of_an_image + 100 <= yaml_reader.MOST_NODES


def test_web_configuration_has_few_values(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text(f"a: [{'1,' * web_config.MOST_NODES}]")
    with pytest.raises(SettingsError, match=f"more than {web_config.MOST_NODES} values and keys"):
        load_security(path)
