import json
import random
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from exporter.simulator import SimulatedImageService
from exporter.simulator.faults import FAULTS, Action, FaultContext, Faults, Step
from exporter.simulator.request import ReceivedRequest
from exporter.simulator.response import SimulatedResponse
from tests.simulator.conftest import ID
from tests.simulator.wire import field, header_names, wire
from tests.support.wait import wait_until

TARGET = f"/v1/images/{ID}"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Image-Meta-Id: abc\r\n\r\n"
CHUNKED = HEAD.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
CONTEXT = FaultContext(
    ReceivedRequest("HEAD", "/v1/images/abc", "HTTP/1.1", {}),
    SimulatedResponse(200, HEAD),
    random.Random(1),
)


def script(name: str, **options: object) -> list[Step]:
    """Return the steps of a fault for a request whose response is HEAD."""
    return list(FAULTS[name](CONTEXT, **options))


@pytest.mark.parametrize(
    ("query", "is_refused"),
    [("tag=a", True), ("limit=1&tag=a", True), ("limit=1", False), ("x=tag", False)],
)
def test_parameter_of_a_list_is_refused(query: str, is_refused: bool) -> None:
    request = ReceivedRequest("GET", f"/v2/images?{query}", "HTTP/1.1", {})
    context = FaultContext(request, SimulatedResponse(200, HEAD), random.Random(1))
    (step,) = FAULTS["refused_parameters"](context, parameters=["tag", "visibility=all"])
    assert isinstance(step, bytes)
    assert step.startswith(b"HTTP/1.1 400") is is_refused


@pytest.mark.parametrize(
    ("name", "options", "steps"),
    [
        ("latency", {"seconds": 0.5}, [0.5, HEAD]),
        ("hang", {}, [Action.HOLD, HEAD]),
        ("hang_in_head", {"at": 5}, [HEAD[:5], Action.HOLD, HEAD[5:]]),
        ("reset", {}, [Action.RESET]),
        ("reset_in_head", {"at": 5}, [HEAD[:5], Action.RESET]),
        ("close", {}, [Action.CLOSE]),
        ("close_after", {}, [HEAD, Action.CLOSE]),
        ("truncate", {}, [HEAD[: len(HEAD) // 2], Action.CLOSE]),
        ("garbage", {"data": b"?"}, [b"?", Action.CLOSE]),
        ("body_on_head", {"body": b"abc"}, [HEAD.replace(b"th: 0", b"th: 3") + b"abc"]),
        (
            "error_page",
            {"code": 403, "headers": {"Retry-After": "7"}},
            [
                b"HTTP/1.0 403 Forbidden\r\nConnection: close\r\nContent-Type: text/html\r\n"
                b"Retry-After: 7\r\n\r\n<html><body><h1>403 Forbidden</h1>\n"
                b"No server is available.\n</body></html>\n",
                Action.CLOSE,
            ],
        ),
        ("last_chunk", {}, [CHUNKED + b"0\r\n\r\n"]),
        ("last_chunk", {"delay": 0.2, "data": b"x"}, [CHUNKED, 0.2, b"0\r\n\r\nx"]),
        ("leftover", {"data": b"x"}, [HEAD + b"x"]),
        ("leftover", {"data": b"x", "delay": 0.2}, [HEAD, 0.2, b"x"]),
        ("leftover", {"data": b"x", "held": True}, [HEAD, Action.HOLD, b"x"]),
        (
            "interim",
            {"codes": (100, 103)},
            [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", HEAD],
        ),
        ("wrong_id", {"image_id": "other"}, [HEAD.replace(b"abc", b"other")]),
        ("http_1_0", {}, [HEAD.replace(b"1.1", b"1.0"), Action.CLOSE]),
    ],
)
def test_script_of_every_fault(name: str, options: dict[str, object], steps: list[Step]) -> None:
    assert script(name, **options) == steps


def test_body_of_a_response_with_a_last_chunk_is_one_chunk() -> None:
    response = SimulatedResponse(200, HEAD, b"body of 15 byte")
    context = FaultContext(CONTEXT.request, response, CONTEXT.random)
    steps = list(FAULTS["last_chunk"](context))
    assert steps == [CHUNKED + b"f\r\nbody of 15 byte\r\n0\r\n\r\n"]


def test_compressed_body_has_its_coding_and_length() -> None:
    response = SimulatedResponse(200, HEAD, b"body")
    context = FaultContext(CONTEXT.request, response, CONTEXT.random)
    (step,) = FAULTS["compressed"](context, coding="x", compress=lambda body: body + b"!")
    lines = b"Content-Encoding: x\r\nContent-Length: 5"
    assert step == HEAD.replace(b"Content-Length: 0", lines) + b"body!"
    assert script("compressed") == [HEAD]


def test_only_long_request_lines_are_refused() -> None:
    length = len(CONTEXT.request.line)
    assert script("long_request", over=length) == [HEAD]
    assert script("long_request", over=length - 1) == [Action.CLOSE]
    (refusal,) = script("long_request", over=length - 1, code=414)
    assert isinstance(refusal, bytes)
    assert refusal.startswith(b"HTTP/1.1 414 ")


def test_jitter_adds_to_latency() -> None:
    waits = [script("latency", seconds=1.0, jitter=0.5)[0] for _ in range(20)]
    assert len(set(waits)) == 20
    assert all(isinstance(wait, float) and 1.0 <= wait <= 1.5 for wait in waits)


@pytest.mark.parametrize(
    ("size", "line_size"), [(100 * 1024, 8000), (100 * 1024, 200_000), (16000, 8000), (50, 8000)]
)
def test_huge_head_is_larger_by_exactly_its_size(size: int, line_size: int) -> None:
    (head,) = script("huge_head", size=size, line_size=line_size)
    assert isinstance(head, bytes)
    assert len(head) == len(HEAD) + size
    assert max(map(len, head.split(b"\r\n"))) < 2 * line_size
    assert head.count(b"\r\n\r\n") == 1


@pytest.mark.parametrize("code", [100, 204, 300, 401, 404, 410, 429, 500, 503, 599])
def test_status_fault_sends_any_status_with_headers_and_without_a_body(
    service: SimulatedImageService, code: int
) -> None:
    service.faults.set("status", code=code, headers={"Retry-After": "7"}, times=1)
    with wire(service) as client:
        head = client.ask("HEAD", TARGET)
        assert head.startswith(b"HTTP/1.1 %d " % code)
        assert field(head, b"Retry-After") == b"7"
        assert client.ask("HEAD", TARGET).startswith(b"HTTP/1.1 200 ")
        assert client.rest == b""
    assert [(r.status, r.fault) for r in service.log.records] == [(None, "status"), (200, None)]


@pytest.mark.parametrize("code", [301, 302, 307])
def test_redirect_has_a_location(service: SimulatedImageService, code: int) -> None:
    service.faults.set("redirect", location="http://elsewhere/", code=code)
    with wire(service) as client:
        head = client.ask("HEAD", TARGET)
    assert head.startswith(b"HTTP/1.1 %d " % code)
    assert field(head, b"Location") == b"http://elsewhere/"


@pytest.mark.parametrize(("name", "before"), [("hang", b""), ("hang_in_head", b"HTTP/1.1 200")])
def test_hang_ends_when_cleared(service: SimulatedImageService, name: str, before: bytes) -> None:
    options: dict[str, Any] = {"at": len(before)} if before else {}
    fault = service.faults.set(name, on=ID, **options)
    with wire(service) as client:
        client.send("HEAD", TARGET)
        wait_until(lambda: fault.fired == 1)
        if before:
            assert client.socket.recv(100) == before
        client.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        client.socket.settimeout(10)
        service.faults.clear(ID)
        assert (before + client.read_head()).startswith(b"HTTP/1.1 200 OK\r\n")


def test_hang_ends_when_replaced_or_exhausted_and_cleared(service: SimulatedImageService) -> None:
    with wire(service) as first, wire(service) as second:
        hang = service.faults.set("hang", times=1)
        first.send("HEAD", TARGET)
        wait_until(lambda: hang.fired == 1)
        assert b" 200 " in second.ask("HEAD", TARGET)
        service.faults.set("close")
        assert b" 200 " in first.read_head()


def test_trickle_sends_byte_by_byte(service: SimulatedImageService) -> None:
    with wire(service) as client:
        plain = client.ask("HEAD", "/v1/images/x")
        service.faults.set("trickle", pause=0.001, times=1)
        began = time.monotonic()
        assert header_names(client.ask("HEAD", "/v1/images/x")) == header_names(plain)
        assert time.monotonic() - began >= 0.001 * (len(plain) - 1)
        assert b" 200 " in client.ask("HEAD", TARGET)


@pytest.mark.parametrize(("name", "before"), [("reset", b""), ("reset_in_head", b"HTTP/1.1")])
def test_reset_sends_rst_before_or_within_the_response(
    service: SimulatedImageService, name: str, before: bytes
) -> None:
    options: dict[str, Any] = {"at": len(before)} if before else {}
    service.faults.set(name, **options)
    with wire(service) as client:
        client.send("HEAD", TARGET)
        received = b""
        while len(received) < len(before):
            received += client.socket.recv(100)
        with pytest.raises(ConnectionResetError):
            client.socket.recv(100)
    assert received == before
    wait_until(lambda: service.log.connections_open == 0)
    assert service.log.in_flight == 0


@pytest.mark.parametrize(
    ("name", "options", "is_expected"),
    [
        ("close", {}, lambda received, _: received == b""),
        ("truncate", {"at": 40}, lambda received, head: received == head[:40]),
        ("garbage", {"data": b"\xff?"}, lambda received, _: received == b"\xff?"),
        ("close_after", {}, lambda received, head: len(received) == len(head)),
        ("http_1_0", {}, lambda received, head: received[8:20] == head[8:20]),
    ],
)
def test_fault_closes_the_connection_unannounced(
    service: SimulatedImageService,
    name: str,
    options: dict[str, Any],
    is_expected: Callable[[bytes, bytes], bool],
) -> None:
    with wire(service) as client:
        head = client.ask("HEAD", TARGET)
        service.faults.set(name, **options)
        client.send("HEAD", TARGET)
        received = client.read_all()
    assert is_expected(received, head)
    assert b"Connection: close" not in received


def test_added_headers_are_sent_whole_and_the_connection_is_reused(
    service: SimulatedImageService,
) -> None:
    with wire(service) as client:
        names = header_names(client.ask("HEAD", TARGET))
        service.faults.set("many_headers", count=999)
        assert len(header_names(client.ask("HEAD", TARGET))) == len(names) + 999
        service.faults.set("huge_head", size=1_000_000)
        assert len(client.ask("HEAD", TARGET)) > 1_000_000
        service.faults.clear()
        assert header_names(client.ask("HEAD", TARGET)) == names


def test_leftover_is_sent_at_once_later_or_when_cleared(service: SimulatedImageService) -> None:
    with wire(service) as client:
        for options in ({}, {"delay": 0.05}, {"held": True}):
            service.faults.set("leftover", data=b"HTTP/1.1 404 forged\r\n\r\n", **options)
            assert b" 200 " in client.ask("HEAD", TARGET)
            service.faults.clear()
            assert client.read_head() == b"HTTP/1.1 404 forged\r\n\r\n"


def test_wrong_id_changes_only_the_id_in_the_head(service: SimulatedImageService) -> None:
    with wire(service) as client:
        names = header_names(client.ask("HEAD", TARGET))
        service.faults.set("wrong_id", image_id="other")
        head = client.ask("HEAD", TARGET)
    assert field(head, b"X-Image-Meta-Id") == b"other"
    assert header_names(head) == names


@pytest.mark.parametrize(
    ("on", "image", "other", "listing", "root"),
    [
        (ID, 500, 404, 200, 300),
        ("images", 500, 500, 200, 300),
        ("list", 200, 404, 500, 300),
        ("all", 500, 500, 500, 500),
    ],
)
def test_fault_applies_only_to_the_requests_it_is_set_on(
    service: SimulatedImageService, on: str, image: int, other: int, listing: int, root: int
) -> None:
    service.faults.set("status", on=on, code=500)
    expected = {TARGET: image, "/v1/images/x": other, "/v1/images?limit=1": listing, "/": root}
    for target, code in expected.items():
        with wire(service) as client:
            method = "HEAD" if target.startswith("/v1/images/") else "GET"
            assert client.ask(method, target).startswith(b"HTTP/1.1 %d " % code), target


def test_fault_of_an_image_takes_precedence(service: SimulatedImageService) -> None:
    service.faults.set("status", code=500)
    service.faults.set("status", on="images", code=501)
    service.faults.set("status", on=ID, code=502, times=1)
    with wire(service) as client:
        codes = [client.ask("HEAD", TARGET)[9:12] for _ in range(2)]
        service.faults.clear("images")
        codes.append(client.ask("HEAD", TARGET)[9:12])
        service.faults.clear("nothing")
        service.faults.clear()
        codes.append(client.ask("HEAD", TARGET)[9:12])
    assert codes == [b"502", b"501", b"500", b"200"]


def test_share_is_the_same_in_every_run(service: SimulatedImageService) -> None:

    def failed() -> list[bool]:
        with SimulatedImageService() as fresh, wire(fresh) as client:
            fresh.faults.set("status", code=500, share=0.3)
            return [b" 500 " in client.ask("HEAD", TARGET)[:14] for _ in range(200)]

    first = failed()
    assert first == failed()
    assert 40 <= sum(first) <= 80
    fault = service.faults.set("status", code=500, share=0.0)
    with wire(service) as client:
        assert b" 200 " in client.ask("HEAD", TARGET)
    assert fault.fired == 0


def test_times_are_counted_across_threads(service: SimulatedImageService) -> None:
    fault = service.faults.set("status", code=500, times=50)

    def ask() -> None:
        with wire(service) as client:
            for _ in range(25):
                client.ask("HEAD", TARGET)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fault.fired == 50
    assert (service.log.count(status=200), service.log.requests) == (50, 100)


def test_invalid_faults_and_options_are_rejected(service: SimulatedImageService) -> None:
    with pytest.raises(ValueError, match="unknown fault 'explode'; accepted: status, "):
        service.faults.set("explode")
    with pytest.raises(TypeError, match="colour"):
        service.faults.set("hang", colour="red")
    with pytest.raises(TypeError, match="code"):
        service.faults.set("status")


def test_log_has_the_time_and_fault_of_every_request(service: SimulatedImageService) -> None:
    service.faults.set("latency", seconds=0.01)
    with wire(service) as client:
        for _ in range(3):
            client.ask("HEAD", TARGET, "X-Auth-Token: t")
    records = service.log.records
    assert all(later.at - earlier.at >= 0.01 for earlier, later in pairwise(records))
    assert {(record.fault, record.method, record.path) for record in records} == {
        ("latency", "HEAD", TARGET)
    }
    assert records[0].request.headers["x-auth-token"] == "t"


def test_other_body_has_its_content_length(service: SimulatedImageService) -> None:
    service.faults.set("other_body", on="list", body=b"abc", times=1)
    with wire(service) as client:
        head = client.ask("GET", "/v2/images")
        assert (head[:12], field(head, b"Content-Length")) == (b"HTTP/1.1 200", b"3")
        client.send("HEAD", TARGET)
        assert client.read_head().startswith(b"abcHTTP/1.1 200 OK\r\n")


def test_wrong_id_changes_only_the_id_in_the_document(service: SimulatedImageService) -> None:
    service.images.change(ID, properties={"kernel_id": "k"})
    service.faults.set("wrong_id", on=ID, image_id="other")
    with wire(service) as client:
        client.send("GET", f"/v2/images/{ID}", "Connection: close")
        head, _, body = client.read_all().partition(b"\r\n\r\n")
    document = json.loads(body)
    assert (document["id"], document["kernel_id"]) == ("other", "k")
    assert document["self"] == f"/v2/images/{ID}"
    assert field(head, b"Content-Length") == b"%d" % len(body)


@pytest.mark.parametrize(
    ("on", "fails_for"),
    [
        ("images", [True, False]),
        (ID, [True, False]),
        ("list", [False, True]),
        ("all", [True, True]),
    ],
)
def test_faults_of_images_and_lists_are_separate_in_v2(
    service: SimulatedImageService, on: str, fails_for: list[bool]
) -> None:
    service.faults.set("status", on=on, code=503)
    for target, fails in zip((f"/v2/images/{ID}", "/v2/images?id=in:x"), fails_for, strict=True):
        with wire(service) as client:
            assert client.ask("GET", target).startswith(b"HTTP/1.1 503 ") is fails


@pytest.mark.parametrize(
    ("on", "faulty"),
    [
        ("v1", {"/v1/images/a", "/v1/images", "/v1/images/detail"}),
        ("v1/images", {"/v1/images/a"}),
        ("v1/a", {"/v1/images/a"}),
        ("v1/list", {"/v1/images", "/v1/images/detail"}),
        ("v2/list", {"/v2/images"}),
        ("detail", {"/v1/images/detail"}),
    ],
)
def test_fault_of_a_version_leaves_the_other_alone(on: str, faulty: set[str]) -> None:
    faults = Faults(on_clear=lambda: None)
    faults.set("close", on=on)
    paths = ["/", "/v1/images/a", "/v1/images", "/v1/images/detail", "/v2/images/a", "/v2/images"]
    requests = {path: ReceivedRequest.parse(f"GET {path} HTTP/1.1".encode()) for path in paths}
    assert {path for path, request in requests.items() if faults.pick(request)} == faulty
