"""Listen addresses on real sockets."""

import errno
import os
import socket
from collections.abc import Callable

import pytest

from exporter.web.server.listen import ListenError
from exporter.web.server.server import WebServer
from tests.web.conftest import BOUND
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
def test_what_is_no_listen_address_is_refused(listen_address: str) -> None:
    """The error shows the value, and what is accepted."""
    with pytest.raises(ValueError, match="listen address") as refused:
        WebServer(listen_address)
    assert str(refused.value) == (
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
def test_the_address_asked_for_is_taken(listen_address: str, hosts: set[str]) -> None:
    """The addresses taken are those asked for, with the port that the kernel chose."""
    with bound(listen_address) as made:
        assert {each.rpartition(":")[0] for each in made.addresses} == hosts
        assert all(int(each.rpartition(":")[2]) > 0 for each in made.addresses)


@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("listen_address", [":0", "[::]:0"])
def test_all_addresses_means_both_families(client: str, listen_address: str) -> None:
    """An address without a host takes connections over IPv4 and over IPv6."""
    with bound(listen_address) as made:
        port = int(made.addresses[0].rpartition(":")[2])
        socket.create_connection((client, port), timeout=BOUND).close()


def test_all_addresses_without_ipv6_are_those_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without IPv6 listens on all its IPv4 addresses."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with bound(":0") as made:
        assert made.addresses[0].startswith("0.0.0.0:")


def resolve_to(*hosts: str) -> Callable[..., list[object]]:
    """A getaddrinfo by which every name has these addresses."""
    real = socket.getaddrinfo

    def resolve(_: str, port: int, *args: int, **options: int) -> list[object]:
        return [entry for host in hosts for entry in real(host, port, *args, **options)]

    return resolve


def test_a_name_means_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name's addresses are all taken, each once, on one port; what is not here is left out."""
    monkeypatch.setattr(
        socket, "getaddrinfo", resolve_to("203.0.113.1", "127.0.0.1", "127.0.0.2", "127.0.0.1")
    )
    with bound("localhost:0") as made:
        (first, port), (second, same_port) = (each.split(":") for each in made.addresses)
        assert (first, second, same_port) == ("127.0.0.1", "127.0.0.2", port)


def test_a_port_in_use_is_said_in_one_line() -> None:
    """A port that another program has is an error that names it."""
    with bound("127.0.0.1:0") as first:
        (taken,) = first.addresses
        with pytest.raises(ListenError) as refused:
            WebServer(taken).bind()
    assert str(refused.value) == f"cannot listen on {taken}: the port is in use"


def test_a_port_in_use_on_one_of_several_addresses_frees_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When a later address of a name is taken, those taken before are given back."""
    with bound("127.0.0.2:0") as other:
        port = other.addresses[0].partition(":")[2]
        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", resolve_to("127.0.0.1", "127.0.0.2"))
            with pytest.raises(ListenError, match="the port is in use"):
                WebServer(f"localhost:{port}").bind()
        with bound(f"127.0.0.1:{port}") as free:
            assert free.addresses == (f"127.0.0.1:{port}",)


def test_an_address_of_another_machine_is_said_in_one_line() -> None:
    """An address that this machine does not have is an error that says so."""
    with pytest.raises(ListenError) as refused:
        WebServer("203.0.113.1:9").bind()
    assert str(refused.value) == (
        "cannot listen on 203.0.113.1:9: this machine does not have the address"
    )


def test_a_name_that_does_not_resolve_is_said_in_one_line() -> None:
    """A name without addresses is an error of one line."""
    with pytest.raises(ListenError) as refused:
        WebServer("no.such.name.invalid:9").bind()
    assert str(refused.value).startswith("cannot listen on no.such.name.invalid:9: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (errno.EACCES, "not permitted; a port below 1024 needs the capability NET_BIND_SERVICE"),
        (errno.ENOBUFS, os.strerror(errno.ENOBUFS)),
    ],
)
def test_other_refusals_are_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, code: int, why: str
) -> None:
    """What else the kernel has against an address is said in its words, or better ones."""

    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(code, "from the kernel")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(ListenError) as refused:
        WebServer("127.0.0.1:1").bind()
    assert str(refused.value) == f"cannot listen on 127.0.0.1:1: {why}"
