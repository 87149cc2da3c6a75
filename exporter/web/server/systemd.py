"""Socket activation by systemd: the protocol of sd_listen_fds(3)."""

import os
import socket
from collections.abc import MutableMapping
from contextlib import ExitStack

FIRST_DESCRIPTOR = 3


def sockets_from_systemd(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the listening sockets, and remove the variables that describe them.

    Raises:
        ValueError: systemd passed no socket, or a socket that is not a listening stream socket.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isascii() or not count.isdigit() or int(count) < 1:
        raise ValueError(
            "systemd passed no socket: LISTEN_FDS and LISTEN_PID are not set for this process"
        )
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(_listening_socket(descriptor))
            for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))
        ]
        stack.pop_all()
    return sockets


def _listening_socket(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ValueError(f"descriptor {descriptor} from systemd: {error.strerror}") from None
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        sock.close()
        raise ValueError(f"descriptor {descriptor} from systemd is not a ListenStream= socket")
    return sock
