"""Targets whose rendered metrics are out of date."""

from array import array
from collections.abc import Collection, Mapping, Sequence
from math import inf

from exporter.metrics.image_metrics import ImageView
from exporter.model.expectations.checks import is_time_based, next_evaluation
from exporter.model.instant import Instant
from exporter.model.target import Target, TargetKey
from exporter.store import Store

CLOCK_STEP = 1.0
"""Seconds by which wall clock and monotonic clock may drift apart. More means it was set."""


class DirtyTracker:
    """Determines which targets must be rendered again; not thread-safe.

    A new tracker has only dirty targets. A target becomes dirty when

    - a poll changed its metrics (see ``mark_changed``),
    - its values expire, or a poll without a change makes expired values valid again,
    - the result of an expectation changes with time, such as that of ``max_age``, or
    - the wall clock is set and it has such an expectation.
    """

    def __init__(self, targets: Sequence[Target], store: Store, now: Instant) -> None:
        self._targets = targets
        self._store = store
        self._indexes = {target.key: index for index, target in enumerate(targets)}
        self._dirty: set[TargetKey] = set(self._indexes)
        # Targets that were rendered without their values.
        self._expired: set[TargetKey] = set()
        # Monotonic time until which no target becomes dirty by time alone.
        self._clean_until = inf
        # For each target, the monotonic time until which the results of its expectations hold.
        self._results_until = array("d", [inf]) * len(targets)
        self._clock_offset = now.wall - now.monotonic

    def mark_changed(self, keys: Collection[TargetKey]) -> None:
        """Mark targets whose metrics a poll has changed."""
        self._dirty.update(keys)

    def dirty_targets(self, now: Instant) -> Mapping[int, Target]:
        """Return the dirty targets, by their index.

        They stay dirty until ``mark_rendered``, so that an error while rendering loses no change.
        """
        if abs(now.wall - now.monotonic - self._clock_offset) > CLOCK_STEP:
            self._clock_offset = now.wall - now.monotonic
            self._dirty.update(
                target.key for target in self._targets if is_time_based(target.expect)
            )
        self._dirty.update(key for key in self._expired if self._is_valid(key, now))
        if now.monotonic > self._clean_until:
            self._mark_expired(now)
        indexes = (self._indexes[key] for key in self._dirty)
        return {index: self._targets[index] for index in indexes}

    def mark_rendered(self, views: Mapping[int, ImageView]) -> None:
        """Mark targets as clean, and note until when what was rendered of them is valid."""
        for index, view in views.items():
            results_until = next_evaluation(view.target.expect, view.image, view.now)
            self._results_until[index] = results_until
            if view.now.monotonic <= view.valid_until:
                self._expired.discard(view.target.key)
                self._clean_until = min(self._clean_until, view.valid_until, results_until)
            else:
                self._expired.add(view.target.key)
        self._dirty.clear()

    def _mark_expired(self, now: Instant) -> None:
        """Mark the targets that time has changed, and find out when it changes the next one."""
        self._clean_until = inf
        for target, results_until in zip(self._targets, self._results_until, strict=True):
            key = target.key
            valid_until = min(self._store.observation(key).valid_until, results_until)
            if now.monotonic <= valid_until:
                self._clean_until = min(self._clean_until, valid_until)
            elif key not in self._expired:
                self._dirty.add(key)

    def _is_valid(self, key: TargetKey, now: Instant) -> bool:
        return now.monotonic <= self._store.observation(key).valid_until
