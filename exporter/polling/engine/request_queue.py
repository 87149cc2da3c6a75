"""The questions of one cycle that are still to be asked, and those that are under way."""

import heapq
from collections import Counter, deque
from collections.abc import Iterable
from itertools import count
from math import inf

from exporter.polling.engine.types import Group, PollRequest, RequestKind


class _Lane:
    """Groups in the order in which they are due, and questions that came up beside: those first."""

    def __init__(self) -> None:
        self._planned: deque[tuple[float, Group]] = deque()
        self._extra: list[tuple[float, int, PollRequest]] = []

    @property
    def planned_due(self) -> float:
        """When the next planned group is to be asked for; infinite where there is none."""
        return self._planned[0][0] if self._planned else inf

    @property
    def due(self) -> float:
        """When the next question is to be asked; infinite where there is none."""
        return min(self.planned_due, self._extra[0][0] if self._extra else inf)

    def rank(self, now: float) -> tuple[bool, float, int]:
        """Orders queues by what each would give: the smallest is the next to be taken from."""
        if self._extra and self._extra[0][0] <= now:
            return False, *self._extra[0][:2]
        return True, self.planned_due, 0

    def take(self, now: float) -> PollRequest | Group:
        """What is due."""
        if self._extra and self._extra[0][0] <= now:
            return heapq.heappop(self._extra)[2]
        return self._planned.popleft()[1]

    def push(self, due: float, number: int, ask: PollRequest) -> None:
        """Puts a question in; of those due at one time the lowest number is the first."""
        heapq.heappush(self._extra, (due, number, ask))

    def plan(self, planned: Iterable[tuple[float, Group]]) -> None:
        """Puts groups in beside those that are planned."""
        self._planned = deque(sorted((*self._planned, *planned), key=lambda item: item[0]))

    def take_planned(self) -> list[Group]:
        """Takes out all that is planned."""
        groups = [group for _, group in self._planned]
        self._planned.clear()
        return groups

    def take_extra(self) -> list[PollRequest]:
        """Takes out all that came up beside the plan."""
        asks = [ask for _, _, ask in self._extra]
        self._extra.clear()
        return asks


class RequestQueue:
    """Questions with the times they are due at, in steady seconds; at most ``lists`` lists fly."""

    def __init__(self, planned: Iterable[tuple[float, Group]], lists: int) -> None:
        self._most_lists = lists
        self._number = count()
        self._lists = _Lane()
        self._others = _Lane()
        self._flying: dict[int, PollRequest] = {}
        self._flying_lists = 0
        self._kinds: Counter[RequestKind] = Counter()
        self._held: list[Group] = []
        self.plan(planned)

    @property
    def due(self) -> float:
        """When the next question may be asked; infinite where there is none for now."""
        return min(queue.due for queue in self._open)

    @property
    def _open(self) -> list[_Lane]:
        """The queues from which a question may be taken now."""
        full = self._flying_lists >= self._most_lists
        return [self._others] if full else [self._others, self._lists]

    @property
    def flying(self) -> tuple[PollRequest, ...]:
        """The questions that are under way."""
        return tuple(self._flying.values())

    @property
    def holds(self) -> bool:
        """Whether planned polls are held back."""
        return bool(self._held)

    def has(self, kind: RequestKind) -> bool:
        """Whether such a question came up and has not been answered."""
        return self._kinds[kind] > 0

    def lists(self, now: float) -> bool:
        """Whether a list of images that are not hidden is under way, or due."""
        flying = self._flying.values()
        return self._lists.planned_due <= now or any(
            ask.kind is RequestKind.BATCH and not ask.hidden for ask in flying
        )

    def take(self, now: float) -> PollRequest:
        """The question that is due, which is under way from here on."""
        taken = min(self._open, key=lambda queue: queue.rank(now)).take(now)
        if isinstance(taken, PollRequest):
            ask = taken
        else:
            ask = PollRequest(RequestKind.BATCH if len(taken) > 1 else RequestKind.POLL, taken)
            self._kinds[ask.kind] += 1
        self._flying[id(ask)] = ask
        self._flying_lists += ask.kind is RequestKind.BATCH
        return ask

    def answered(self, ask: PollRequest) -> None:
        """The question is not under way any more."""
        del self._flying[id(ask)]
        self._kinds[ask.kind] -= 1
        self._flying_lists -= ask.kind is RequestKind.BATCH

    def push(self, due: float, ask: PollRequest) -> None:
        """Puts a question in."""
        self._kinds[ask.kind] += 1
        queue = self._lists if ask.kind is RequestKind.BATCH else self._others
        queue.push(due, next(self._number), ask)

    def plan(self, planned: Iterable[tuple[float, Group]]) -> None:
        """Puts polls in beside those that are planned."""
        queues: dict[bool, list[tuple[float, Group]]] = {True: [], False: []}
        for due, group in planned:
            queues[len(group) > 1].append((due, group))
        self._lists.plan(queues[True])
        self._others.plan(queues[False])

    def hold(self) -> None:
        """Holds the planned polls back."""
        self._held += [*self._lists.take_planned(), *self._others.take_planned()]

    def release(self) -> list[Group]:
        """The polls that were held back, and are no more."""
        held, self._held = self._held, []
        return held

    def drop(self) -> list[PollRequest]:
        """Takes out all that came up beside the plan."""
        dropped = [*self._lists.take_extra(), *self._others.take_extra()]
        self._kinds.subtract(ask.kind for ask in dropped)
        return dropped
