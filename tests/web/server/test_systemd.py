"""Sockets that systemd hands on."""

import os
import socket

import pytest

from exporter.config import Web
from exporter.daemon import listening
from exporter.web.server import systemd
from exporter.web.server.server import ListenError
from exporter.web.server.systemd import sockets_from_systemd

NONE = "systemd hands no socket on: LISTEN_FDS and LISTEN_PID are not set for it"


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
def test_no_socket(environ: dict[str, str]) -> None:
    """What is not handed on, or to another process, is an error; the variables are taken away."""
    given = {name: value.replace("OURS", str(os.getpid())) for name, value in environ.items()}
    with pytest.raises(ValueError, match=NONE):
        sockets_from_systemd(given)
    assert given == {}


@pytest.mark.parametrize("kind", ["file", "connection", "datagrams"])
def test_what_nobody_can_connect_to(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """It is named by its number."""
    read, write = os.pipe()
    with (
        socket.socket() as connection,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        os.fdopen(write, "w"),
    ):
        number = {
            "file": read,
            "connection": os.dup(connection.fileno()),
            "datagrams": os.dup(datagrams.fileno()),
        }[kind]
        monkeypatch.setattr(systemd, "FIRST", number)
        environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
        with pytest.raises(ValueError, match=f"descriptor {number} of systemd"):
            sockets_from_systemd(environ)
        os.close(read)


def test_sockets_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of the address, which is not taken."""
    made = socket.create_server(("127.0.0.1", 0))
    port = made.getsockname()[1]
    monkeypatch.setattr(systemd, "FIRST", made.detach())
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    server = listening(Web(listen_address="192.0.2.1:1", systemd_socket=True))
    assert server.addresses == (f"127.0.0.1:{port}",)
    server.close()
    with pytest.raises(ListenError, match=NONE):
        listening(Web(systemd_socket=True))


def test_a_socket_without_a_place_in_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is called as in ``ListenStream=``."""
    made = socket.socket(socket.AF_UNIX)
    name = f"exporter-{os.getpid()}"
    made.bind(f"\0{name}")
    made.listen()
    monkeypatch.setattr(systemd, "FIRST", made.detach())
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    server = listening(Web(systemd_socket=True))
    assert server.addresses == (f"@{name}",)
    server.close()
