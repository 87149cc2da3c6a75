"""Targets whose rendered metrics are out of date."""

from collections.abc import Mapping, Sequence, Set
from math import inf

from exporter.metrics.images.view import ImageView
from exporter.model.expectations.checks import is_time_based, next_evaluation
from exporter.model.instant import Instant
from exporter.model.observation import ALL_ASPECTS, NO_ASPECTS, Aspect, union
from exporter.model.target import Target
from exporter.store import Store

VALUES: Set[Aspect] = frozenset({Aspect.EXISTS, Aspect.IMAGE})
"""The aspects that expire."""

TIME: Set[Aspect] = frozenset({Aspect.TIME})


class DirtyTargets:
    """Determines which targets must be rendered again, and which aspects; not thread-safe.

    At first all targets are dirty. A target becomes dirty when

    - a poll changed its metrics, or made expired values valid again (see ``mark_changed``),
    - its values expire,
    - the result of an expectation changes with time, such as that of ``max_age``, or
    - the wall clock is set and it has such an expectation.

    Attributes:
        aspects: The aspects to render of each dirty target, by its index.
    """

    def __init__(self, targets: Sequence[Target], store: Store) -> None:
        self._targets = targets
        self._store = store
        self.aspects: dict[int, Set[Aspect]] = dict.fromkeys(range(len(targets)), ALL_ASPECTS)
        # Targets that were rendered without their values.
        self._expired: set[int] = set()
        # Monotonic time until which no target becomes dirty by time alone.
        self._clean_until = inf
        # The monotonic time at which time alone changes the results of a target's expectations.
        self._results_until: dict[int, float] = {}

    def mark_changed(self, index: int, aspects: Set[Aspect]) -> None:
        """Mark aspects of a target as dirty."""
        self.aspects[index] = union(aspects, self.aspects.get(index, NO_ASPECTS))

    def aspects_to_render(self, index: int, view: ImageView) -> Set[Aspect]:
        """Return the aspects of a dirty target to render.

        The values of a retracted poll are replaced by earlier ones, which may have expired.
        """
        is_expired = view.now.monotonic > view.observation.valid_until
        aspects = self.aspects[index]
        return aspects if is_expired is (index in self._expired) else union(aspects, VALUES)

    def mark_by_time(self, now: Instant) -> None:
        """Mark the targets that time has changed."""
        if now.monotonic > self._clean_until:
            self._clean_until = inf
            for index in range(len(self._targets)):
                self._mark_if_outdated(index, now)

    def mark_after_clock_step(self) -> None:
        """Mark the targets whose expectations depend on the wall clock, which was set."""
        for index, target in enumerate(self._targets):
            if is_time_based(target.expect):
                self.mark_changed(index, TIME)

    def mark_rendered(self, views: Mapping[int, ImageView]) -> None:
        """Mark all targets as clean, and note until when what was rendered of them is valid."""
        for index, view in views.items():
            valid_until, results_until = view.observation.valid_until, inf
            if view.target.expect:
                results_until = self._note_results(index, view)
            if view.now.monotonic <= valid_until:
                self._expired.discard(index)
                self._clean_until = min(self._clean_until, valid_until, results_until)
            else:
                self._expired.add(index)
        self.aspects.clear()

    def _note_results(self, index: int, view: ImageView) -> float:
        """Note and return until when the results of a target's expectations are valid."""
        results_until = next_evaluation(view.target.expect, view.image, view.now)
        if results_until < inf:
            self._results_until[index] = results_until
        else:
            self._results_until.pop(index, None)
        return results_until

    def _mark_if_outdated(self, index: int, now: Instant) -> None:
        """Mark a target if time has changed it, or note when time changes it next."""
        valid_until = self._valid_until(index)
        results_until = self._results_until.get(index, inf)
        if now.monotonic > valid_until:
            if index not in self._expired:
                self.mark_changed(index, VALUES)
        elif now.monotonic > results_until:
            self.mark_changed(index, TIME)
        else:
            self._clean_until = min(self._clean_until, valid_until, results_until)

    def _valid_until(self, index: int) -> float:
        return self._store.observation(self._targets[index].key).valid_until
