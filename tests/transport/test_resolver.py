import socket
import threading

import pytest

from exporter.clock import steady
from exporter.transport.resolver import Address, Resolver

ADDRESSES: list[Address] = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]
TIMEOUT = 10.0


class HangingLookup:
    """A resolver that hangs until it is released, and records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.release = threading.Event()

    def __call__(self, host: str, port: int, **_: object) -> list[Address]:
        """Return the addresses once released."""
        self.calls.append((host, port))
        self.release.wait(TIMEOUT)
        return ADDRESSES


def test_system_resolver_is_the_default() -> None:
    addresses = Resolver().resolve("127.0.0.1", 80, TIMEOUT)
    assert ("127.0.0.1", 80) in [address for *_, address in addresses]


def test_hanging_lookup_times_out_and_is_not_repeated() -> None:
    """Only one thread per host hangs."""
    lookup = HangingLookup()
    resolver = Resolver(lookup)
    started = steady()
    for _ in range(5):
        with pytest.raises(TimeoutError):
            resolver.resolve("stuck.test", 80, 0.02)
    assert steady() - started < 5
    with pytest.raises(TimeoutError):
        resolver.resolve("other.test", 80, 0.02)
    assert lookup.calls == [("stuck.test", 80), ("other.test", 80)]
    lookup.release.set()
    assert resolver.resolve("stuck.test", 80, TIMEOUT) == ADDRESSES


def test_concurrent_callers_share_a_lookup() -> None:
    lookup = HangingLookup()
    resolver = Resolver(lookup)
    results: list[list[Address]] = []
    threads = [
        threading.Thread(target=lambda: results.append(resolver.resolve("a.test", 80, TIMEOUT)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    lookup.release.set()
    for thread in threads:
        thread.join()
    assert results == [ADDRESSES] * 4


def test_failure_is_raised_and_not_cached() -> None:
    results: list[list[Address] | None] = [None, ADDRESSES]

    def lookup(*_: object, **__: object) -> list[Address]:
        result = results.pop(0)
        if result is None:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return result

    resolver = Resolver(lookup)
    with pytest.raises(socket.gaierror, match="try again"):
        resolver.resolve("a.test", 80, TIMEOUT)
    assert resolver.resolve("a.test", 80, TIMEOUT) == ADDRESSES
