"""Sockets that systemd has opened and hands on, by the protocol of sd_listen_fds(3)."""

import os
import socket
from collections.abc import MutableMapping
from contextlib import ExitStack

FIRST = 3
"""The first descriptor that is handed on."""


def sockets_from_systemd(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets, of which there is at least one; the variables about them are taken away.

    Raises:
        ValueError: there is none, or one that nobody can connect to; says so in one line.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isascii() or not count.isdigit() or int(count) < 1:
        raise ValueError("systemd hands no socket on: LISTEN_FDS and LISTEN_PID are not set for it")
    with ExitStack() as opened:
        sockets = [
            opened.enter_context(_listening(descriptor))
            for descriptor in range(FIRST, FIRST + int(count))
        ]
        opened.pop_all()
    return sockets


def _listening(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        made = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ValueError(f"descriptor {descriptor} of systemd: {error.strerror}") from None
    if made.type != socket.SOCK_STREAM or not made.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        made.close()
        raise ValueError(f"descriptor {descriptor} of systemd is no ListenStream=")
    return made
