import pytest

from exporter.simulator import SimulatedImageService
from tests.simulator.conftest import ID
from tests.simulator.wire import wire
from tests.support.wait import wait_until

TARGET = f"/v1/images/{ID}"


def test_connection_is_kept_alive(service: SimulatedImageService) -> None:
    with wire(service) as client:
        for _ in range(5):
            assert b" 200 " in client.ask("HEAD", TARGET)
    assert (service.log.requests, service.log.connections_opened) == (5, 1)
    assert {record.connection for record in service.log.records} == {1}


@pytest.mark.parametrize("headers", [("Connection: close",), ("Content-Length: 3", "", "abc")])
def test_connection_closes_if_requested_or_after_a_request_body(
    service: SimulatedImageService, headers: tuple[str, ...]
) -> None:
    with wire(service) as client:
        client.send("HEAD", TARGET, *headers)
        head = client.read_head()
        assert head.endswith(b"\r\nConnection: close\r\n\r\n")
        assert client.read_all() == b""


def test_http_1_0_client_is_served(service: SimulatedImageService) -> None:
    with wire(service) as client:
        client.send("HEAD", TARGET, version="HTTP/1.0")
        assert client.read_all().count(b"\r\n\r\n") == 1


def test_requests_may_be_split_or_pipelined(
    service: SimulatedImageService,
) -> None:
    one = f"HEAD {TARGET} HTTP/1.1\r\n\r\n".encode()
    with wire(service) as client:
        for byte in one:
            client.socket.sendall(bytes((byte,)))
        assert b" 200 " in client.read_head()
        client.socket.sendall(one + one.replace(ID.encode(), b"x"))
        assert b" 200 " in client.read_head()
        assert b" 404 " in client.read_head()


def test_invalid_request_gets_400_and_closes_the_connection(service: SimulatedImageService) -> None:
    with wire(service) as client:
        client.socket.sendall(b"\x16\x03\x01 hello there everyone\r\n\r\nHEAD / HTTP/1.1\r\n\r\n")
        assert client.read_all().startswith(b"HTTP/1.0 400 Bad Request\r\n")


def test_endless_head_aborts_the_connection(service: SimulatedImageService) -> None:
    with wire(service) as client:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.socket.sendall(b"x" * 100_000_000)
        wait_until(lambda: service.log.connections_open == 0)


def test_pipelined_request_waits_for_a_held_response(service: SimulatedImageService) -> None:
    held = service.faults.set("hang_in_head", on=ID, times=1)
    with wire(service) as client:
        client.send("HEAD", TARGET)
        client.send("HEAD", "/v1/images/x")
        wait_until(lambda: held.fired == 1)
        service.faults.clear()
        assert b" 200 " in client.read_head()
        assert b" 404 " in client.read_head()
