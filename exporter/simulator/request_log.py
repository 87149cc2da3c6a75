"""What a simulated service was asked, and over how many connections."""

import threading
import time
from collections import deque
from dataclasses import dataclass

from exporter.simulator.request import Request


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as it arrived.

    ``at`` is seconds of the monotonic clock, ``connection`` counts from 1 in the order
    connections were opened. ``status`` is that of the answer, or None where a fault
    answered in its place; ``fault`` is then its name.
    """

    at: float
    connection: int
    request: Request
    status: int | None
    fault: str | None

    @property
    def method(self) -> str:
        """The request's method."""
        return self.request.method

    @property
    def path(self) -> str:
        """The request's target, query included."""
        return self.request.target


class RequestLog:
    """The last requests and counters of all; written by the service, read from any thread.

    Attributes:
        requests: requests that arrived, those no longer among ``records`` included.
        connections_opened: connections accepted.
        connections_open: connections open now.
        in_flight: requests whose answer is not finished.
        most_in_flight: the highest ``in_flight`` there was.
    """

    def __init__(self, bound: int = 100_000) -> None:
        self._lock = threading.Lock()
        self._records: deque[RequestRecord] = deque(maxlen=bound)
        self.connections_open = 0
        self.in_flight = 0
        self._zero()

    def _zero(self) -> None:
        self.requests = 0
        self.connections_opened = 0
        self.most_in_flight = self.in_flight

    def clear(self) -> None:
        """Forget all requests and start the counters anew; what is open stays counted."""
        with self._lock:
            self._records.clear()
            self._zero()

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """The requests so far, oldest first, up to the bound."""
        with self._lock:
            return tuple(self._records)

    def count(
        self, *, method: str | None = None, path: str | None = None, status: int | None = None
    ) -> int:
        """How many of ``records`` have this method, this path in their target, this status."""
        return sum(
            (method is None or record.method == method)
            and (path is None or path in record.path)
            and (status is None or record.status == status)
            for record in self.records
        )

    def opened(self) -> int:
        """Count a new connection and return its number."""
        with self._lock:
            self.connections_opened += 1
            self.connections_open += 1
            return self.connections_opened

    def closed(self) -> None:
        """Count a connection that has ended."""
        with self._lock:
            self.connections_open -= 1

    def began(
        self, connection: int, request: Request, status: int | None, fault: str | None
    ) -> None:
        """Keep a request that arrived."""
        record = RequestRecord(time.monotonic(), connection, request, status, fault)
        with self._lock:
            self._records.append(record)
            self.requests += 1
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def ended(self) -> None:
        """Count a request as no longer in flight: answered, or its connection gone."""
        with self._lock:
            self.in_flight -= 1
