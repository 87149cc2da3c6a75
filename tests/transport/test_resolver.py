import socket
import threading

import pytest

from exporter.clock import steady
from exporter.transport.resolver import Address, Resolver

HERE: list[Address] = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]
GENEROUS = 10.0


class Lookup:
    """A resolver that hangs until it is let go, and counts its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.go_on = threading.Event()

    def __call__(self, host: str, port: int, **_: object) -> list[Address]:
        """The addresses, after a while."""
        self.calls.append((host, port))
        self.go_on.wait(GENEROUS)
        return HERE


def test_names_of_this_machine_are_resolved() -> None:
    """The system's own resolver is asked."""
    addresses = Resolver().resolve("127.0.0.1", 80, GENEROUS)
    assert ("127.0.0.1", 80) in [address for *_, address in addresses]


def test_a_hanging_look_up_holds_nobody_up_and_is_not_repeated() -> None:
    """Every caller gives up in its own time, and one thread per host is stuck, not more."""
    lookup = Lookup()
    resolver = Resolver(lookup)
    began = steady()
    for _ in range(5):
        with pytest.raises(TimeoutError):
            resolver.resolve("stuck.test", 80, 0.02)
    assert steady() - began < 5
    with pytest.raises(TimeoutError):
        resolver.resolve("other.test", 80, 0.02)
    assert lookup.calls == [("stuck.test", 80), ("other.test", 80)]
    lookup.go_on.set()
    assert resolver.resolve("stuck.test", 80, GENEROUS) == HERE


def test_who_asks_meanwhile_gets_the_same_answer() -> None:
    """Callers of one host share its look-up."""
    lookup = Lookup()
    resolver = Resolver(lookup)
    got: list[list[Address]] = []
    threads = [
        threading.Thread(target=lambda: got.append(resolver.resolve("a.test", 80, GENEROUS)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    lookup.go_on.set()
    for thread in threads:
        thread.join()
    assert got == [HERE] * 4


def test_a_failure_is_told_and_forgotten() -> None:
    """A name that cannot be resolved now is looked up again the next time."""
    answers: list[list[Address] | None] = [None, HERE]

    def lookup(*_: object, **__: object) -> list[Address]:
        answer = answers.pop(0)
        if answer is None:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return answer

    resolver = Resolver(lookup)
    with pytest.raises(socket.gaierror, match="try again"):
        resolver.resolve("a.test", 80, GENEROUS)
    assert resolver.resolve("a.test", 80, GENEROUS) == HERE
