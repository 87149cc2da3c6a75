"""Queue of one cycle's requests: polls planned in advance, requests added later, and in flight.

Times are monotonic seconds.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterable
from itertools import count
from math import inf

from exporter.polling.engine.types import Group, PollRequest, RequestKind


class _Lane:
    """Requests of one weight: planned groups in the order they are due, and added requests.

    Added requests that are due precede the planned ones. If the lane ``takes_turns``, they do so
    only every second time: neither evidence and retries nor polls must wait for all of the others.
    """

    def __init__(self, *, takes_turns: bool) -> None:
        self._takes_turns = takes_turns
        self._was_added = False
        self._planned: deque[tuple[float, Group]] = deque()
        self._added: list[tuple[float, int, PollRequest]] = []

    @property
    def planned_due(self) -> float:
        """Return the time at which the next planned group is due, or infinity."""
        return self._planned[0][0] if self._planned else inf

    @property
    def due(self) -> float:
        """Return the time at which the next request is due, or infinity."""
        added_due = self._added[0][0] if self._added else inf
        return min(self.planned_due, added_due)

    def priority(self, now: float) -> tuple[bool, float, int]:
        """Return the sort key of the lane's next request; the smallest key is sent first."""
        if self._is_added_due(now):
            due, order, _ = self._added[0]
            return False, due, order
        return True, self.planned_due, 0

    def take(self, now: float) -> PollRequest | Group:
        """Remove and return the request or the group that is due."""
        self._was_added = self._is_added_due(now)
        if self._was_added:
            return heapq.heappop(self._added)[2]
        return self._planned.popleft()[1]

    def push(self, due: float, order: int, request: PollRequest) -> None:
        """Add a request; if several are due at the same time, the lowest ``order`` is first."""
        heapq.heappush(self._added, (due, order, request))

    def plan(self, planned: Iterable[tuple[float, Group]]) -> None:
        """Add groups to those already planned."""
        self._planned = deque(sorted((*self._planned, *planned), key=lambda item: item[0]))

    def take_planned(self) -> list[Group]:
        """Remove and return all planned groups."""
        groups = [group for _, group in self._planned]
        self._planned.clear()
        return groups

    def take_added(self) -> list[PollRequest]:
        """Remove and return all added requests."""
        requests = [request for _, _, request in self._added]
        self._added.clear()
        return requests

    def _is_added_due(self, now: float) -> bool:
        """Return True if the next request is an added one."""
        is_due = bool(self._added) and self._added[0][0] <= now
        is_turn_over = self._takes_turns and self._was_added and self.planned_due <= now
        return is_due and not is_turn_over


class RequestQueue:
    """Requests by the time they are due, with at most ``max_batches`` batches in flight."""

    def __init__(self, planned: Iterable[tuple[float, Group]], max_batches: int) -> None:
        self._max_batches = max_batches
        self._orders = count()
        self._numbers = count(1)
        self._batches = _Lane(takes_turns=False)
        self._singles = _Lane(takes_turns=True)
        self._in_flight: dict[int, PollRequest] = {}
        self._batches_in_flight = 0
        self._pending: Counter[RequestKind] = Counter()
        self._paused: list[Group] = []
        self.plan(planned)

    @property
    def due(self) -> float:
        """Return the time at which the next request may be sent, or infinity."""
        return min(lane.due for lane in self._open_lanes)

    @property
    def _open_lanes(self) -> list[_Lane]:
        if self._batches_in_flight >= self._max_batches:
            return [self._singles]
        return [self._singles, self._batches]

    @property
    def in_flight(self) -> tuple[PollRequest, ...]:
        """Return the requests that have no reply yet."""
        return tuple(self._in_flight.values())

    @property
    def paused(self) -> bool:
        """Return True if planned polls are held back."""
        return bool(self._paused)

    def has(self, kind: RequestKind) -> bool:
        """Return True if a request of this kind is in flight, or added and not sent yet."""
        return self._pending[kind] > 0

    def expects_first_list(self, now: float) -> bool:
        """Return True if the first list of a batch is due, or in flight."""
        if self._batches.planned_due <= now:
            return True
        return any(
            request.kind is RequestKind.BATCH and not request.second_list
            for request in self._in_flight.values()
        )

    def take(self, now: float) -> PollRequest:
        """Remove and return the request that is due, with its number; it is in flight now."""
        lane = min(self._open_lanes, key=lambda lane: lane.priority(now))
        taken = lane.take(now)
        number = next(self._numbers)
        if isinstance(taken, PollRequest):
            request = taken._replace(number=number)
        else:
            kind = RequestKind.BATCH if len(taken) > 1 else RequestKind.POLL
            request = PollRequest(kind, taken, number=number)
            self._pending[kind] += 1
        self._in_flight[number] = request
        self._batches_in_flight += request.kind is RequestKind.BATCH
        return request

    def complete(self, request: PollRequest) -> None:
        """Remove a request that has its reply."""
        del self._in_flight[request.number]
        self._pending[request.kind] -= 1
        self._batches_in_flight -= request.kind is RequestKind.BATCH

    def push(self, due: float, request: PollRequest) -> None:
        """Add a request; once it is due, it takes turns with the planned polls."""
        self._pending[request.kind] += 1
        lane = self._batches if request.kind is RequestKind.BATCH else self._singles
        lane.push(due, next(self._orders), request)

    def plan(self, planned: Iterable[tuple[float, Group]]) -> None:
        """Add polls to those already planned."""
        batches: list[tuple[float, Group]] = []
        singles: list[tuple[float, Group]] = []
        for due, group in planned:
            (batches if len(group) > 1 else singles).append((due, group))
        self._batches.plan(batches)
        self._singles.plan(singles)

    def pause(self) -> None:
        """Hold all planned polls back until ``take_paused``."""
        self._paused += [*self._batches.take_planned(), *self._singles.take_planned()]

    def take_paused(self) -> list[Group]:
        """Remove and return the polls that were held back, for the caller to plan again."""
        paused, self._paused = self._paused, []
        return paused

    def drop_added(self) -> list[PollRequest]:
        """Remove and return all added requests that are not sent yet."""
        dropped = [*self._batches.take_added(), *self._singles.take_added()]
        self._pending.subtract(request.kind for request in dropped)
        return dropped
