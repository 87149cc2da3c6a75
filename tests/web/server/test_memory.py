"""Memory that connections have left."""

import ctypes
import threading
from contextlib import ExitStack

import pytest

from exporter.web.server import memory
from exporter.web.server.memory import FRACTION, INTERVAL, MANY, MemoryOfConnections
from tests.support.wait import wait_until
from tests.web.conftest import Serve
from tests.web.example_app import app


class Returns:
    """Counts how often memory was returned."""

    def __init__(self) -> None:
        self.count = 0
        self.memory = MemoryOfConnections(self.add)

    def add(self) -> None:
        self.count += 1


@pytest.fixture
def returns() -> Returns:
    return Returns()


def test_memory_is_returned_once_most_of_many_connections_have_ended(returns: Returns) -> None:
    for connections in (1, MANY, MANY // FRACTION + 1):
        returns.memory.observe(connections, 0)
        assert returns.count == 0
    for connections in (MANY // FRACTION, 0, 0):
        returns.memory.observe(connections, 0)
        assert returns.count == 1


def test_few_connections_are_not_worth_it(returns: Returns) -> None:
    for connections in (MANY - 1, 0):
        returns.memory.observe(connections, 0)
    assert returns.count == 0


def test_clients_cannot_make_it_return_memory_all_the_time(returns: Returns) -> None:
    for now in (0, 1, INTERVAL - 1):
        returns.memory.observe(MANY, now)
        returns.memory.observe(0, now)
    assert returns.count == 1
    returns.memory.observe(0, INTERVAL)
    assert returns.count == 2


def test_server_returns_the_memory_of_its_connections(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_returned = threading.Event()
    observed: list[int] = []
    observe = MemoryOfConnections.observe

    class Library:
        """The C library."""

        def __init__(self, _: None) -> None:
            self.malloc_trim = lambda _: is_returned.set()

    def observe_and_record(self: MemoryOfConnections, connections: int, now: float) -> None:
        observed.append(connections)
        observe(self, connections, now)

    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(memory, "MANY", 4)
    monkeypatch.setattr(MemoryOfConnections, "observe", observe_and_record)
    server = serve(app())
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(server.connect(b"GET"))
        wait_until(lambda: 4 in observed)
        assert not is_returned.is_set()
    wait_until(is_returned.is_set)


def test_other_c_libraries_cannot_return_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    memory.return_freed_memory()
