"""The log of the requests and connections of a simulated service."""

import threading
import time
from collections import deque
from dataclasses import dataclass

from exporter.simulator.request import ReceivedRequest


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request in the log.

    ``at`` is monotonic time in seconds. ``connection`` is the number of the connection,
    counted from 1 in the order they were opened. ``status`` is the status of the response,
    or None if a fault replaced it; ``fault`` is then the name of the fault. ``backend`` is the
    number of the API server, counted from 0.
    """

    at: float
    connection: int
    request: ReceivedRequest
    status: int | None
    fault: str | None
    backend: int = 0

    @property
    def method(self) -> str:
        """Return the method of the request."""
        return self.request.method

    @property
    def path(self) -> str:
        """Return the target of the request, including the query."""
        return self.request.target


class RequestLog:
    """The latest requests, and counters; written by the service, read from any thread.

    Attributes:
        requests: number of requests, including those that are no longer in ``records``.
        connections_opened: number of accepted connections.
        connections_open: number of open connections.
        in_flight: number of requests without a complete response.
        max_in_flight: the highest ``in_flight`` so far.
    """

    def __init__(self, bound: int = 100_000) -> None:
        self._lock = threading.Lock()
        self._records: deque[RequestRecord] = deque(maxlen=bound)
        self.connections_open = 0
        self.in_flight = 0
        self._reset_counters()

    def _reset_counters(self) -> None:
        self.requests = 0
        self.connections_opened = 0
        self.max_in_flight = self.in_flight

    def clear(self) -> None:
        """Remove all records and reset the counters, except those of what is open now."""
        with self._lock:
            self._records.clear()
            self._reset_counters()

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """Return the latest requests, oldest first."""
        with self._lock:
            return tuple(self._records)

    def count(
        self, *, method: str | None = None, path: str | None = None, status: int | None = None
    ) -> int:
        """Count the records with this method, this text in their target, and this status."""
        return sum(
            (method is None or record.method == method)
            and (path is None or path in record.path)
            and (status is None or record.status == status)
            for record in self.records
        )

    def connection_opened(self) -> int:
        """Count a new connection and return its number."""
        with self._lock:
            self.connections_opened += 1
            self.connections_open += 1
            return self.connections_opened

    def connection_closed(self) -> None:
        """Count the end of a connection."""
        with self._lock:
            self.connections_open -= 1

    def request_started(
        self,
        connection: int,
        request: ReceivedRequest,
        status: int | None,
        fault: str | None,
        backend: int = 0,
    ) -> None:
        """Record a request and count it as in flight."""
        record = RequestRecord(time.monotonic(), connection, request, status, fault, backend)
        with self._lock:
            self._records.append(record)
            self.requests += 1
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def request_finished(self) -> None:
        """Count a request as no longer in flight: its response or its connection has ended."""
        with self._lock:
            self.in_flight -= 1
