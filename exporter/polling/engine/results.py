"""Results of one cycle: the outcome of each target, recorded once, and counters of outcomes."""

from collections.abc import Iterable, Sequence

from exporter.model.outcome import Failed, Found, Gone, Outcome
from exporter.model.target import Target
from exporter.polling.engine.types import CycleStats


class CycleResults:
    """The targets of a cycle, those without an outcome, and the outcomes not taken yet."""

    def __init__(self, targets: Sequence[Target], stats: CycleStats) -> None:
        self.targets = {target.image_id: target for target in targets}
        self._stats = stats
        self._undecided = dict(self.targets)
        self._succeeded: set[str] = set()
        self._outcomes: list[tuple[Target, Outcome]] = []
        self._retracted: list[tuple[Target, Failed]] = []

    def add(self, targets: Iterable[Target]) -> None:
        """Add targets that have no outcome yet."""
        added = {target.image_id: target for target in targets}
        self.targets |= added
        self._undecided |= added

    @property
    def succeeded(self) -> frozenset[str]:
        """The IDs of the images whose polls have succeeded, safe to read from another thread."""
        return frozenset(self._succeeded)

    def undecided(self) -> tuple[Target, ...]:
        """Return the targets without an outcome."""
        return tuple(self._undecided.values())

    def undecided_of(self, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Return the given targets that have no outcome."""
        return tuple(target for target in targets if target.image_id in self._undecided)

    def record(self, target: Target, outcome: Outcome) -> None:
        """Record the outcome of an image. Ignored if it already has one."""
        if self._undecided.pop(target.image_id, None) is None:
            return
        self._stats.polls += 1
        match outcome:
            case Failed(reason):
                self._stats.failures[reason] += 1
            case Found():
                self._stats.found += 1
                self._succeeded.add(target.image_id)
            case Gone():
                self._succeeded.add(target.image_id)
        self._outcomes.append((target, outcome))

    def retract(self, image_id: str, failed: Failed) -> None:
        """Replace the outcome of an image by a failure, unless its poll has failed already."""
        if image_id in self._undecided:
            self.record(self.targets[image_id], failed)
        elif image_id in self._succeeded:
            self._succeeded.discard(image_id)
            self._stats.failures[failed.reason] += 1
            self._retracted.append((self.targets[image_id], failed))

    def take_outcomes(self) -> list[tuple[Target, Outcome]]:
        """Return the outcomes that were recorded since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def take_retracted(self) -> list[tuple[Target, Failed]]:
        """Return the failures that have replaced an outcome since the last call."""
        retracted, self._retracted = self._retracted, []
        return retracted
