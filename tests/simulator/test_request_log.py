from exporter.simulator.request import ReceivedRequest
from exporter.simulator.request_log import RequestLog

HEAD = ReceivedRequest("HEAD", "/v1/images/a", "HTTP/1.1", {})
LIST = ReceivedRequest("GET", "/v1/images?limit=1", "HTTP/1.1", {})


def test_records_are_bounded_but_counters_are_not() -> None:
    log = RequestLog(bound=2)
    for request in (HEAD, LIST, LIST):
        log.request_started(1, request, 200, None)
    assert [record.path for record in log.records] == ["/v1/images?limit=1"] * 2
    assert log.requests == 3


def test_max_in_flight_does_not_decrease() -> None:
    log = RequestLog()
    for _ in range(3):
        log.request_started(1, HEAD, 200, None)
    for _ in range(3):
        log.request_finished()
    assert (log.in_flight, log.max_in_flight) == (0, 3)


def test_count_combines_all_criteria() -> None:
    log = RequestLog()
    log.request_started(1, HEAD, 200, None)
    log.request_started(1, HEAD, None, "hang")
    log.request_started(1, LIST, 200, None)
    assert (log.count(), log.count(method="HEAD"), log.count(path="limit")) == (3, 2, 1)
    assert (log.count(status=200), log.count(method="HEAD", status=200)) == (2, 1)


def test_clear_keeps_open_connections_and_requests_in_flight() -> None:
    log = RequestLog()
    assert (log.connection_opened(), log.connection_opened()) == (1, 2)
    log.connection_closed()
    log.request_started(1, HEAD, 200, None)
    log.clear()
    assert (log.requests, log.records, log.connections_opened) == (0, (), 0)
    assert (log.connections_open, log.in_flight, log.max_in_flight) == (1, 1, 1)
