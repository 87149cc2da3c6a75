import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest
import trustme

from exporter.clock import steady
from exporter.transport import connection as connection_module
from exporter.transport.connection import (
    DeadlineHTTPConnection,
    IdleState,
    addresses_of,
    idle_state,
)
from exporter.transport.resolver import Address, Resolver


def address_of(address: tuple[str, int], family: int = socket.AF_INET) -> Address:
    """Return an entry of getaddrinfo."""
    return (socket.AddressFamily(family), socket.SOCK_STREAM, 6, "", address)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@contextlib.contextmanager
def unresponsive_address() -> Iterator[tuple[str, int]]:
    """Provide an address that neither accepts nor refuses: its queue is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()


@contextlib.contextmanager
def connect(
    monkeypatch: pytest.MonkeyPatch, *addresses: Address, seconds: float = 5.0
) -> Iterator[DeadlineHTTPConnection]:
    """Connect to a name that has these addresses."""
    monkeypatch.setattr(connection_module, "RESOLVER", Resolver(lambda *_, **__: list(addresses)))
    connection = DeadlineHTTPConnection("glance.test", 9292, timeout=seconds)
    connection.deadline = steady() + seconds
    try:
        connection.connect()
        yield connection
    finally:
        connection.close()


def test_refused_and_unsupported_addresses_are_skipped(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refused = closed.getsockname()
    unknown = (socket.AddressFamily.AF_APPLETALK, socket.SOCK_STREAM, 250, "", refused)
    addresses = [unknown, address_of(refused), address_of(listener.getsockname())]
    with connect(monkeypatch, *addresses) as connection:
        assert connection.sock.getpeername() == listener.getsockname()


def test_unresponsive_address_leaves_time_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    """A broken IPv6 route must not cost every poll."""
    started = steady()
    with (
        unresponsive_address() as unresponsive,
        connect(
            monkeypatch, address_of(unresponsive), address_of(listener.getsockname()), seconds=1.0
        ) as connection,
    ):
        assert connection.sock.getpeername() == listener.getsockname()
        assert 0.4 < steady() - started < 1.0
        assert 0 < (connection.sock.gettimeout() or 0) < 0.6


def test_timeout_is_the_total_of_all_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    started = steady()
    with unresponsive_address() as unresponsive, pytest.raises(TimeoutError):  # noqa: SIM117 - what raises stands alone
        with connect(monkeypatch, *[address_of(unresponsive)] * 5, seconds=0.2):
            pass
    assert 0.2 <= steady() - started < 2.0


def test_last_failure_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refused = address_of(closed.getsockname())
    with pytest.raises(ConnectionRefusedError), connect(monkeypatch, refused, refused):
        pass
    with pytest.raises(OSError, match="no address"), connect(monkeypatch):
        pass


def test_passed_deadline_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TimeoutError), connect(monkeypatch, seconds=0.0):
        pass


def test_name_resolution_counts_towards_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()

    def lookup(*_: object, **__: object) -> list[Address]:
        release.wait(10)
        return []

    monkeypatch.setattr(connection_module, "RESOLVER", Resolver(lookup))
    connection = DeadlineHTTPConnection("glance.test", 9292)
    connection.deadline = steady() + 0.05
    with pytest.raises(TimeoutError):
        connection.connect()
    release.set()


@contextlib.contextmanager
def socket_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection."""
    client, server = socket.socketpair()
    with client, server:
        yield client, server


def wait_until_not_quiet(sock: socket.socket) -> IdleState:
    """Return the first state other than quiet."""
    end = steady() + 10.0
    while (state := idle_state(sock)) is IdleState.QUIET and steady() < end:
        threading.Event().wait(0.001)
    return state


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (lambda _: None, IdleState.QUIET),
        (lambda server: server.sendall(b"x"), IdleState.UNEXPECTED_DATA),
        (lambda server: server.close(), IdleState.CLOSED),
    ],
    ids=["quiet", "data", "closed"],
)
def test_idle_state(act: Callable[[socket.socket], None], state: IdleState) -> None:
    with socket_pair() as (client, server):
        act(server)
        assert idle_state(client) is state


def test_quiet_connection_is_watched_for_data() -> None:
    with socket_pair() as (client, server):
        started = steady()
        assert idle_state(client, 0.05) is IdleState.QUIET
        assert steady() - started >= 0.05
        late = threading.Timer(0.02, server.sendall, [b"x"])
        late.start()
        assert idle_state(client, 60.0) is IdleState.UNEXPECTED_DATA
        late.join()
        assert steady() - started < 60.0


@pytest.mark.parametrize(
    ("host", "family", "text"),
    [("127.0.0.1", socket.AF_INET, "127.0.0.1"), ("::1", socket.AF_INET6, "[::1]")],
)
def test_addresses_of_a_connection(host: str, family: socket.AddressFamily, text: str) -> None:
    with socket.create_server((host, 0), family=family) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((host, port)) as client:
            local = client.getsockname()[1]
            assert addresses_of(client) == f"local {text}:{local} to {text}:{port}"
            assert client.fileno() >= 0
        assert addresses_of(client) == ""


def test_reset_connection_is_closed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00" + bytes(4))
        server.close()
        assert wait_until_not_quiet(client) is IdleState.CLOSED
        assert addresses_of(client) == ""


def test_tls_session_tickets_are_not_unexpected_data() -> None:
    """TLS 1.3 sends records after its handshake."""
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client_context = ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server_context)
    authority.configure_trust(client_context)
    with socket_pair() as (client, server):
        secured: list[ssl.SSLSocket] = []
        handshake = threading.Thread(
            target=lambda: secured.append(server_context.wrap_socket(server, server_side=True))
        )
        handshake.start()
        with client_context.wrap_socket(client, server_hostname="localhost") as secure:
            handshake.join()
            assert idle_state(secure) is IdleState.QUIET
            secured[0].sendall(b"x")
            assert wait_until_not_quiet(secure) is IdleState.UNEXPECTED_DATA
            secured[0].close()
