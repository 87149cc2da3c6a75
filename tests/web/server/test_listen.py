"""Listen addresses on real sockets."""

import errno
import os
import socket
from collections.abc import Callable
from contextlib import closing

import pytest

from exporter.web.server.listen import ListenError
from exporter.web.server.server import WebServer
from tests.support.ports import reserved_port
from tests.web.conftest import TEST_TIMEOUT
from tests.web.server.test_server import bound


@pytest.mark.parametrize(
    "listen_address",
    [
        "",
        "10292",
        "localhost",
        ":",
        ":65536",
        ":100000",
        ":-1",
        ": 80",
        ":http",
        ":٣",
        "::1:9",
        "[]:9",
        "[::1]",
        "[::1]9",
        "[127.0.0.1]:9",
        "[nonsense]:9",
        "http://localhost:9",
        "a b:9",
        "localhost:9\n",
    ],
)
def test_invalid_listen_address_is_an_error(listen_address: str) -> None:
    with pytest.raises(ValueError, match="listen address") as raised:
        WebServer(listen_address)
    assert str(raised.value) == (
        f"listen address {listen_address!r}: write :PORT for all addresses, HOST:PORT, "
        "or [IPV6]:PORT, with a port from 0 to 65535"
    )


@pytest.mark.parametrize(
    ("listen_address", "hosts"),
    [
        ("127.0.0.1:0", {"127.0.0.1"}),
        ("0.0.0.0:0", {"0.0.0.0"}),
        ("[::1]:0", {"[::1]"}),
        ("[0:0:0:0:0:0:0:1]:0", {"[::1]"}),
        ("[::]:0", {"[::]"}),
        (":0", {"[::]"}),
    ],
)
def test_server_listens_on_the_address(listen_address: str, hosts: set[str]) -> None:
    with bound(listen_address) as server:
        assert {address.rpartition(":")[0] for address in server.addresses} == hosts
        assert all(int(address.rpartition(":")[2]) > 0 for address in server.addresses)


@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("listen_address", [":0", "[::]:0"])
def test_address_without_a_host_means_ipv4_and_ipv6(client: str, listen_address: str) -> None:
    with bound(listen_address) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        socket.create_connection((client, port), timeout=TEST_TIMEOUT).close()


def test_address_without_a_host_works_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with bound(":0") as server:
        assert server.addresses[0].startswith("0.0.0.0:")


def resolve_to(*hosts: str) -> Callable[..., list[object]]:
    """Return a getaddrinfo that resolves each name to these addresses."""
    real = socket.getaddrinfo

    def resolve(_: str, port: int, *args: int, **options: int) -> list[object]:
        return [entry for host in hosts for entry in real(host, port, *args, **options)]

    return resolve


def test_server_listens_on_all_addresses_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one port; addresses of other machines are skipped."""
    monkeypatch.setattr(
        socket, "getaddrinfo", resolve_to("203.0.113.1", "127.0.0.1", "127.0.0.2", "127.0.0.1")
    )
    with bound("localhost:0") as server:
        (first, port), (second, same_port) = (address.split(":") for address in server.addresses)
        assert (first, second, same_port) == ("127.0.0.1", "127.0.0.2", port)


def test_port_in_use_is_an_error() -> None:
    with bound("127.0.0.1:0") as first:
        (taken,) = first.addresses
        with pytest.raises(ListenError) as raised:
            WebServer(taken).bind()
    assert str(raised.value) == f"cannot listen on {taken}: the port is in use"


def test_port_in_use_on_one_address_releases_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with reserved_port() as port, bound(f"127.0.0.2:{port}"):
        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", resolve_to("127.0.0.1", "127.0.0.2"))
            with pytest.raises(ListenError, match="the port is in use"):
                WebServer(f"localhost:{port}").bind()
        with bound(f"127.0.0.1:{port}") as free:
            assert free.addresses == (f"127.0.0.1:{port}",)


def test_server_listens_on_several_addresses() -> None:
    with closing(WebServer("127.0.0.1:0", "127.0.0.2:0")) as server:
        server.bind()
        hosts = [address.partition(":")[0] for address in server.addresses]
    assert hosts == ["127.0.0.1", "127.0.0.2"]


def test_second_address_in_use_releases_the_first_one() -> None:
    with reserved_port() as port, bound("127.0.0.2:0") as other:
        free, (taken,) = f"127.0.0.1:{port}", other.addresses
        with pytest.raises(ListenError, match=f"cannot listen on {taken}: the port is in use"):
            WebServer(free, taken).bind()
        with bound(free) as server:
            assert server.addresses == (free,)


def test_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(ListenError) as raised:
        WebServer("203.0.113.1:9").bind()
    assert str(raised.value) == (
        "cannot listen on 203.0.113.1:9: this machine does not have the address"
    )


def test_unknown_name_is_an_error() -> None:
    with pytest.raises(ListenError) as raised:
        WebServer("no.such.name.invalid:9").bind()
    assert str(raised.value).startswith("cannot listen on no.such.name.invalid:9: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (errno.EACCES, "not permitted; a port below 1024 needs the capability NET_BIND_SERVICE"),
        (errno.ENOBUFS, os.strerror(errno.ENOBUFS)),
    ],
)
def test_errors_of_the_kernel_are_described(
    monkeypatch: pytest.MonkeyPatch, code: int, why: str
) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(code, "from the kernel")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(ListenError) as raised:
        WebServer("127.0.0.1:1").bind()
    assert str(raised.value) == f"cannot listen on 127.0.0.1:1: {why}"
