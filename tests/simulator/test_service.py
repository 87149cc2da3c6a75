import asyncio
import contextlib
import gc
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable

import pytest
import trustme

from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.simulator.faults import FAULTS, Action, FaultContext, Script
from tests.simulator.conftest import ID
from tests.simulator.wire import wire
from tests.support.wait import wait_until

TARGET = f"/v1/images/{ID}"
TIMEOUT = 10.0


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """Return TLS settings for 127.0.0.1 with a certificate of this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_stopped_service_refuses_connections_and_starts_on_the_same_port(
    service: SimulatedImageService,
) -> None:
    url = service.url
    service.stop()
    with pytest.raises(ConnectionRefusedError), wire(service):
        pass
    service.start()
    assert service.url == url
    with wire(service) as client:
        assert b" 200 " in client.ask("HEAD", TARGET)


def test_stop_closes_idle_hanging_and_trickling_connections(service: SimulatedImageService) -> None:
    pause = 60
    service.faults.set("hang", on="hanging")
    service.faults.set("trickle", on="trickling", pause=pause)
    with wire(service) as idle, wire(service) as hanging, wire(service) as trickling:
        idle.ask("HEAD", TARGET)
        hanging.send("HEAD", "/v1/images/hanging")
        trickling.send("HEAD", "/v1/images/trickling")
        wait_until(lambda: service.log.in_flight == 2)
        began = time.monotonic()
        service.stop()
        assert [client.read_all() for client in (idle, hanging, trickling)] == [b"", b"", b"H"]
        assert time.monotonic() - began < pause / 2
    assert (service.log.in_flight, service.log.connections_open) == (0, 0)


def test_connection_made_at_the_moment_of_stop_is_closed(
    service: SimulatedImageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service sees the request to stop before the connection, but accepts it first."""
    is_busy, stop_requested = threading.Event(), threading.Event()

    def block(_: FaultContext) -> Script:
        is_busy.set()
        assert stop_requested.wait(TIMEOUT)
        yield Action.CLOSE

    def call_soon_threadsafe(
        loop: asyncio.BaseEventLoop, callback: Callable[[], object]
    ) -> asyncio.Handle:
        handle = schedule(loop, callback)
        stop_requested.set()
        return handle

    monkeypatch.setitem(FAULTS, "block", block)
    service.faults.set("block")
    with wire(service) as first:
        first.send("HEAD", TARGET)
        assert is_busy.wait(TIMEOUT)
        schedule = asyncio.BaseEventLoop.call_soon_threadsafe
        monkeypatch.setattr(asyncio.BaseEventLoop, "call_soon_threadsafe", call_soon_threadsafe)
        with wire(service) as second:
            service.stop()
            assert second.read_all() == b""
    assert (service.log.connections_opened, service.log.connections_open) == (2, 0)
    gc.collect()  # of a connection that was not closed, with a ResourceWarning


def test_start_and_stop_may_be_called_twice(service: SimulatedImageService) -> None:
    assert service.start() is service
    service.stop()
    service.stop()


def test_port_in_use_raises_in_the_calling_thread() -> None:
    with SimulatedImageService() as first:
        second = SimulatedImageService(port=first.port)
        with pytest.raises(OSError, match="in use"):
            second.start()
        second.stop()


def test_faults_can_be_set_before_start_and_after_stop() -> None:
    service = SimulatedImageService()
    service.faults.set("hang")
    service.faults.clear()
    service.start().stop()
    service.faults.set("hang")
    service.faults.clear()


def test_service_supports_tls_including_faults() -> None:
    authority = trustme.CA()
    client = ssl.create_default_context()
    authority.configure_trust(client)
    with SimulatedImageService([SimulatedImage(ID)], tls=server_context(authority)) as service:
        assert service.url.startswith("https://127.0.0.1:")
        connection = http.client.HTTPSConnection(
            "127.0.0.1", service.port, timeout=10, context=client
        )
        with contextlib.closing(connection):
            connection.request("HEAD", TARGET)
            response = connection.getresponse()
            response.read()
            assert response.headers["X-Image-Meta-Id"] == ID
            service.faults.set("reset")
            connection.request("HEAD", TARGET)
            with pytest.raises(ConnectionResetError):
                connection.getresponse()


def test_client_without_tls_is_disconnected() -> None:
    with SimulatedImageService(tls=server_context(trustme.CA())) as service:
        with wire(service) as client:
            client.send("HEAD", TARGET)
            assert b"HTTP" not in client.read_all()
        wait_until(lambda: service.log.connections_open == 0)
        assert service.log.requests == 0


def test_stop_closes_a_connection_during_its_tls_handshake() -> None:
    context = server_context(trustme.CA())
    with SimulatedImageService(tls=context) as service, wire(service) as client:
        wait_until(lambda: service.log.connections_open == 1)
        service.stop()
        assert client.read_all() == b""


def test_service_supports_ipv6() -> None:
    try:
        service = SimulatedImageService(host="::1").start()
    except OSError:
        pytest.skip("no IPv6 on loopback")
    with service:
        assert service.url == f"http://[::1]:{service.port}"
        with socket.create_connection(("::1", service.port), 10):
            wait_until(lambda: service.log.connections_open == 1)


def test_hundreds_of_connections_are_open_at_once() -> None:
    with SimulatedImageService([SimulatedImage(ID)]) as service:
        held = service.faults.set("hang")
        address = ("127.0.0.1", service.port)
        clients = [socket.create_connection(address, 10) for _ in range(300)]
        for client in clients:
            client.sendall(f"HEAD {TARGET} HTTP/1.1\r\n\r\n".encode())
        wait_until(lambda: held.fired == 300)
        assert (service.log.in_flight, service.log.connections_open) == (300, 300)
        service.faults.clear()
        for client in clients:
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
            client.close()
        wait_until(lambda: service.log.connections_open == 0)
        assert (service.log.in_flight, service.log.max_in_flight) == (0, 300)


def test_a_head_costs_little_processor_time(service: SimulatedImageService) -> None:
    """The least of several measurements: other processes only ever add to it."""
    requests = 100
    threads = {thread.name: thread.ident for thread in threading.enumerate()}
    clock = time.pthread_getcpuclockid(threads["simulated-image-service"] or 0)
    costs = []
    with wire(service) as client:
        for _ in range(6):
            began = time.clock_gettime(clock)
            for _ in range(requests):
                client.ask("HEAD", TARGET)
            costs.append((time.clock_gettime(clock) - began) / requests)
    assert min(costs) < 0.0005
