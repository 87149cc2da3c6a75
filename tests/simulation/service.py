"""The way from the exporter to the API servers: rate limit, connections, balancer and responses."""

from collections import deque
from dataclasses import dataclass
from math import inf
from random import Random
from typing import NamedTuple

from exporter.model.outcome import Failed, Found, ImageResult, NotFound
from exporter.model.replies import (
    Batch,
    BatchReply,
    ControlResult,
    ImageReply,
    Listed,
    ListReply,
    PollReply,
    ProbeReply,
    RequestFacts,
)
from exporter.polling.engine.types import PollRequest, RequestKind, failed_reply
from exporter.transport.rate_limiter import MARGIN
from tests.simulation.servers import Servers
from tests.simulation.world import Fault, FaultKind, World

LISTED_IDS = 5
"""Number of IDs on the first page of a list that is a control."""

UNDECIDED = -1
"""The backend of a connection before its first request."""

NOT_POLLED = Failed("not_polled", "no time was left in this cycle")
CLOSED = Failed("connection", "closed without a response")
TIMEOUT = Failed("timeout", "no response in time")
LIST_404 = Failed("rejected", "HTTP 404")
BATCH_404 = Failed("unconfirmed", "the list of images is 404")


@dataclass(slots=True)
class Connection:
    """A connection to the balancer, and the backend that it leads to."""

    backend: int
    used_at: float


class Exchange(NamedTuple):
    """A request of the cycle, its reply, and the connection that is idle after it."""

    reply: PollReply
    requests: int
    connection: Connection | None


class Response(NamedTuple):
    """One HTTP response, or its lack; ``backend`` decides the content if nothing failed."""

    backend: int
    answered_at: float
    received_at: float
    failed: Failed | None = None
    retry_after: float | None = None
    splittable: bool = False


class SimulatedService:
    """Answers the requests of one exporter; it is the only part that draws random numbers."""

    def __init__(self, world: World, servers: Servers, random: Random) -> None:
        self._world = world
        self._servers = servers
        self._random = random
        self._turn = 0
        self._idle: deque[Connection] = deque()
        self._permit_interval = MARGIN / world.rate if world.rate else 0.0
        self._next_permit_at = -inf
        self.blocked_until = -inf

    def reset_connections(self) -> None:
        """Close all connections, as when the exporter restarts."""
        self._idle.clear()

    def release(self, connection: Connection, now: float) -> None:
        """Take back a connection whose response was received at ``now``."""
        if self._world.keep_alive:
            connection.used_at = now
            self._idle.append(connection)

    def send(self, request: PollRequest, now: float, latest_start: float, end: float) -> Exchange:
        """Send a request at ``now`` or when the rate limit permits it."""
        sent_at = self._permit(now, latest_start)
        if sent_at is None:
            return Exchange(failed_reply(request, NOT_POLLED, RequestFacts(now, now)), 0, None)
        if request.kind is RequestKind.PROBE:
            return self._probe(request, sent_at, end)
        fresh = request.fresh or request.kind is RequestKind.RECHECK
        connection = None if fresh else self._checkout(sent_at)
        was_idle = connection is not None
        if connection is None:
            connection = self._connect(sent_at)
        response = self._roundtrip(connection, sent_at, end)
        if was_idle and response.failed is CLOSED:
            # A server may close an idle connection at any time, so the pool sends it again.
            connection = self._connect(response.received_at)
            response = self._roundtrip(connection, response.received_at, end)
        reply = self._reply(request, sent_at, response)
        is_reusable = not fresh and response.failed not in {CLOSED, TIMEOUT}
        return Exchange(reply, 1, connection if is_reusable else None)

    def _permit(self, now: float, latest_start: float) -> float | None:
        """Return when the rate limit permits a request, or None if that is too late."""
        at = max(now, self._next_permit_at, self.blocked_until)
        if at > latest_start:
            return None
        self._next_permit_at = at + self._permit_interval
        return at

    def _checkout(self, now: float) -> Connection | None:
        """Return the idle connection that was used last, unless the server has closed it."""
        oldest = now - self._world.keep_alive
        while self._idle:
            connection = self._idle.pop()
            if connection.used_at > oldest:
                return connection
        return None

    def _connect(self, now: float) -> Connection:
        if self._world.balancing.is_per_request:
            # The balancer selects a backend when it has the request.
            return Connection(UNDECIDED, now)
        return Connection(self._balance(), now)

    def _balance(self) -> int:
        backends = self._world.backends
        if self._world.balancing.is_random:
            return int(self._random.random() * backends)
        self._turn = (self._turn + 1) % backends
        others = self._world.background
        if others:
            # A geometric number of other requests with this mean.
            while self._random.random() * (1.0 + others) < others:
                self._turn = (self._turn + 1) % backends
        return self._turn

    def _roundtrip(self, connection: Connection, at: float, end: float) -> Response:
        """Send one HTTP request, and return what comes back by the timeout or the end."""
        world, random = self._world, self._random
        if world.balancing.is_per_request:
            connection.backend = self._balance()
        backend = connection.backend
        seconds = world.latency * (0.5 + random.random())
        trouble = self._servers.trouble(backend, at)
        if trouble is not None and random.random() >= trouble.share:
            trouble = None
        if trouble is not None and trouble.kind is FaultKind.SLOW:
            seconds += 1.5 * world.timeout * random.random()
        deadline = min(at + world.timeout, end)
        if at + seconds > deadline:
            return Response(backend, at, deadline, TIMEOUT)
        received_at = at + seconds
        if trouble is None or trouble.kind is FaultKind.SLOW:
            return Response(backend, at + seconds / 2, received_at)
        return _troubled(trouble, backend, received_at)

    def _reply(self, request: PollRequest, sent_at: float, response: Response) -> PollReply:
        backend, at, received_at, failed, retry_after, _ = response
        facts = RequestFacts(sent_at, received_at, retry_after=retry_after)
        if facts.retry_at is not None:
            self.blocked_until = max(self.blocked_until, facts.retry_at)
        if failed is not None:
            return failed_reply(request, failed, facts)
        if request.kind is RequestKind.BATCH:
            return self._batch_reply(request, facts, backend, at)
        if request.kind is RequestKind.LIST:
            if self._servers.newest_ids(backend, at, 1) is None:
                return ListReply(facts, LIST_404)
            return ListReply(facts, accepted=True)
        result = self._servers.image(backend, at, request.targets[0].image_id)
        return ImageReply(facts, result, isinstance(result, Found))

    def _batch_reply(
        self, request: PollRequest, facts: RequestFacts, backend: int, at: float
    ) -> PollReply:
        requested = [target.image_id for target in request.targets]
        found = self._servers.listed(backend, at, requested, hidden=request.second_list)
        if found is None:
            return BatchReply(facts, BATCH_404)
        # A further page has the images that were not on the earlier ones, which are not requested.
        limit = self._world.page_limit
        page = dict(list(found.items())[:limit])
        is_complete = len(found) <= limit
        next_path = None if is_complete else f"page {request.page_number + 1}"
        return BatchReply(facts, Batch(page, next_path), accepted=True)

    def _probe(self, request: PollRequest, sent_at: float, end: float) -> Exchange:
        """Request control, suspect and control on one connection that is used for nothing else."""
        suspect = request.targets[0].image_id
        connection, at, used_one = self._connect(sent_at), sent_at, True
        results: list[ControlResult] = []
        accepted = False
        for requested in (request.control, suspect, request.control):
            if results:
                at = self._permit(at, end) or end
                if not self._world.keep_alive:
                    connection, used_one = self._connect(at), False
            response = self._roundtrip(connection, at, end)
            at = response.received_at
            if response.failed is not None:
                results.append(response.failed)
                break
            result = self._control(response, requested)
            results.append(result)
            accepted = accepted or isinstance(result, Found | Listed)
            is_suspect = len(results) == 2
            if isinstance(result, Found) if is_suspect else isinstance(result, NotFound | Failed):
                break
        facts = RequestFacts(sent_at, at, retry_after=response.retry_after)
        if facts.retry_at is not None:
            self.blocked_until = max(self.blocked_until, facts.retry_at)
        before, middle, after = (*results, None, None)[:3]
        assert before is not None
        assert not isinstance(middle, Listed)
        middle_result: ImageResult | None = middle
        reply = ProbeReply(
            facts,
            before,
            middle_result,
            after,
            requests=len(results),
            connection=f"b{connection.backend}",
            used_one_connection=used_one,
            accepted=accepted,
        )
        return Exchange(reply, len(results), None)

    def _control(self, response: Response, requested: str | None) -> ControlResult:
        backend, at = response.backend, response.answered_at
        if requested is not None:
            return self._servers.image(backend, at, requested)
        ids = self._servers.newest_ids(backend, at, LISTED_IDS)
        return LIST_404 if ids is None else Listed(ids, f"b{backend}-v0")


def _troubled(trouble: Fault, backend: int, received_at: float) -> Response:
    match trouble.kind:
        case FaultKind.CLOSING:
            return Response(backend, received_at, received_at, CLOSED)
        case FaultKind.RATE_LIMITED:
            failed = Failed("rate_limited", "HTTP 429")
            return Response(backend, received_at, received_at, failed, trouble.retry_after)
        case FaultKind.MAINTENANCE:
            failed = Failed("server_error", "HTTP 503")
            return Response(backend, received_at, received_at, failed, trouble.retry_after)
        case _:
            return Response(backend, received_at, received_at, Failed("server_error", "HTTP 500"))
