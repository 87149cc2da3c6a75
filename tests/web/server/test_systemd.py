"""Socket activation by systemd."""

import os
import socket

import pytest

from exporter.app import bind_server
from exporter.config import Web
from exporter.web.server import systemd
from exporter.web.server.listen import ListenError
from exporter.web.server.systemd import sockets_from_systemd

NO_SOCKET = "systemd passed no socket: LISTEN_FDS and LISTEN_PID are not set for this process"


def pass_socket(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    """Set the environment as systemd does for one socket."""
    monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", descriptor)
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "0", "LISTEN_PID": "OURS"},
        {"LISTEN_FDS": "-1", "LISTEN_PID": "OURS"},
        {"LISTEN_FDS": "x", "LISTEN_PID": "OURS"},
    ],
)
def test_missing_socket_is_an_error_and_variables_are_removed(environ: dict[str, str]) -> None:
    environ = {name: value.replace("OURS", str(os.getpid())) for name, value in environ.items()}
    with pytest.raises(ValueError, match=NO_SOCKET):
        sockets_from_systemd(environ)
    assert environ == {}


@pytest.mark.parametrize("kind", ["file", "connection", "datagrams"])
def test_descriptor_that_does_not_listen_is_an_error(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    read, write = os.pipe()
    with (
        socket.socket() as connection,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        os.fdopen(write, "w"),
    ):
        descriptor = {
            "file": read,
            "connection": os.dup(connection.fileno()),
            "datagrams": os.dup(datagrams.fileno()),
        }[kind]
        monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", descriptor)
        environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
        with pytest.raises(ValueError, match=f"descriptor {descriptor} from systemd"):
            sockets_from_systemd(environ)
        os.close(read)


def test_sockets_of_systemd_replace_the_listen_address(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    pass_socket(monkeypatch, listener.detach())
    server = bind_server(Web(listen_address=("192.0.2.1:1",), systemd_socket=True))
    assert server.addresses == (f"127.0.0.1:{port}",)
    server.close()
    with pytest.raises(ListenError, match=NO_SOCKET):
        bind_server(Web(systemd_socket=True))


def test_abstract_unix_socket_has_the_name_of_listen_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener = socket.socket(socket.AF_UNIX)
    name = f"exporter-{os.getpid()}"
    listener.bind(f"\0{name}")
    listener.listen()
    pass_socket(monkeypatch, listener.detach())
    server = bind_server(Web(systemd_socket=True))
    assert server.addresses == (f"@{name}",)
    server.close()
