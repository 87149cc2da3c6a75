import pytest

from exporter.simulator import SimulatedImageService
from tests.simulator.conftest import ID
from tests.simulator.wire import wire
from tests.support.wait import wait_until

TARGET = f"/v1/images/{ID}"


def test_connection_is_kept_alive(service: SimulatedImageService) -> None:
    """One connection serves many requests."""
    with wire(service) as client:
        for _ in range(5):
            assert b" 200 " in client.ask("HEAD", TARGET)
    assert (service.log.requests, service.log.connections_opened) == (5, 1)
    assert {record.connection for record in service.log.records} == {1}


@pytest.mark.parametrize("headers", [("Connection: close",), ("Content-Length: 3", "", "abc")])
def test_connection_closes_when_asked_or_with_a_body(
    service: SimulatedImageService, headers: tuple[str, ...]
) -> None:
    """The answer to a request that ends the connection says so and is the last."""
    with wire(service) as client:
        client.send("HEAD", TARGET, *headers)
        head = client.read_head()
        assert head.endswith(b"\r\nConnection: close\r\n\r\n")
        assert client.read_all() == b""


def test_http_1_0_client_is_served(service: SimulatedImageService) -> None:
    """A client of HTTP/1.0 gets its answer and the end of the connection."""
    with wire(service) as client:
        client.send("HEAD", TARGET, version="HTTP/1.0")
        assert client.read_all().count(b"\r\n\r\n") == 1


def test_requests_sent_in_pieces_and_together_are_answered(
    service: SimulatedImageService,
) -> None:
    """A head may arrive byte by byte, and two at once are answered in order."""
    one = f"HEAD {TARGET} HTTP/1.1\r\n\r\n".encode()
    with wire(service) as client:
        for byte in one:
            client.socket.sendall(bytes((byte,)))
        assert b" 200 " in client.read_head()
        client.socket.sendall(one + one.replace(ID.encode(), b"x"))
        assert b" 200 " in client.read_head()
        assert b" 404 " in client.read_head()


def test_garbage_is_refused(service: SimulatedImageService) -> None:
    """What is no request is answered with 400 and the end of the connection."""
    with wire(service) as client:
        client.socket.sendall(b"\x16\x03\x01 hello there everyone\r\n\r\nHEAD / HTTP/1.1\r\n\r\n")
        assert client.read_all().startswith(b"HTTP/1.0 400 Bad Request\r\n")


def test_endless_head_is_cut_off(service: SimulatedImageService) -> None:
    """A client that never ends its head is disconnected."""
    with wire(service) as client:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.socket.sendall(b"x" * 100_000_000)
        wait_until(lambda: service.log.connections_open == 0)


def test_request_during_an_answer_waits_for_its_end(service: SimulatedImageService) -> None:
    """A request that arrives while an answer is held back is answered after it."""
    held = service.faults.set("hang_in_head", on=ID, times=1)
    with wire(service) as client:
        client.send("HEAD", TARGET)
        client.send("HEAD", "/v1/images/x")
        wait_until(lambda: held.fired == 1)
        service.faults.clear()
        assert b" 200 " in client.read_head()
        assert b" 404 " in client.read_head()
