"""The questions of one cycle that are still to be asked, and those that are under way."""

import heapq
from collections import Counter, deque
from collections.abc import Iterable
from itertools import count
from math import inf

from exporter.image.target import Target
from exporter.polling.question import Ask, Kind

Group = tuple[Target, ...]
"""Targets that are asked for together; one alone where the API knows no other way."""


class Agenda:
    """Polls as they were planned, and what came up beside them; times are steady seconds."""

    def __init__(self, planned: Iterable[tuple[float, Group]]) -> None:
        self._planned = deque(planned)
        self._extra: list[tuple[float, int, Ask]] = []
        self._number = count()
        self._flying: dict[int, Ask] = {}
        self._kinds: Counter[Kind] = Counter()
        self._held: list[Group] = []

    @property
    def due(self) -> float:
        """When the next question is to be asked; infinite where there is none."""
        first = self._planned[0][0] if self._planned else inf
        return min(first, self._extra[0][0] if self._extra else inf)

    @property
    def flying(self) -> tuple[Ask, ...]:
        """The questions that are under way."""
        return tuple(self._flying.values())

    @property
    def holds(self) -> bool:
        """Whether planned polls are held back."""
        return bool(self._held)

    def has(self, kind: Kind) -> bool:
        """Whether such a question came up and has not been answered."""
        return self._kinds[kind] > 0

    def lists(self, now: float) -> bool:
        """Whether a list of images that are not hidden is under way, or due."""
        is_due = bool(self._planned) and self._planned[0][0] <= now and len(self._planned[0][1]) > 1
        flying = self._flying.values()
        return is_due or any(ask.kind is Kind.BATCH and not ask.hidden for ask in flying)

    def take(self, now: float) -> Ask:
        """The question that is due, which is under way from here on."""
        if self._extra and self._extra[0][0] <= now:
            ask = heapq.heappop(self._extra)[2]
        else:
            group = self._planned.popleft()[1]
            ask = Ask(Kind.BATCH if len(group) > 1 else Kind.POLL, group)
            self._kinds[ask.kind] += 1
        self._flying[id(ask)] = ask
        return ask

    def answered(self, ask: Ask) -> None:
        """The question is not under way any more."""
        del self._flying[id(ask)]
        self._kinds[ask.kind] -= 1

    def push(self, due: float, ask: Ask) -> None:
        """Puts a question in."""
        self._kinds[ask.kind] += 1
        heapq.heappush(self._extra, (due, next(self._number), ask))

    def plan(self, planned: Iterable[tuple[float, Group]]) -> None:
        """Puts polls in beside those that are planned."""
        self._planned = deque(sorted((*self._planned, *planned), key=lambda item: item[0]))

    def hold(self) -> None:
        """Holds the planned polls back."""
        self._held += [group for _, group in self._planned]
        self._planned.clear()

    def release(self) -> list[Group]:
        """The polls that were held back, and are no more."""
        held, self._held = self._held, []
        return held

    def drop(self) -> list[Ask]:
        """Takes out all that came up beside the plan."""
        dropped = [ask for _, _, ask in self._extra]
        self._extra.clear()
        self._kinds.subtract(ask.kind for ask in dropped)
        return dropped
