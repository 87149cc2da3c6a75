"""Store of the latest observation of each target and the state of each cloud.

It is the only state that polling and the web share. Observations and cloud states are immutable, so
a reader needs the lock only to take a reference.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from math import inf
from typing import NamedTuple

from exporter.model.changes import ChangeEvent
from exporter.model.cloud import CloudState
from exporter.model.observation import (
    ALL_ASPECTS,
    NEVER_POLLED,
    NO_ASPECTS,
    Aspect,
    Observation,
    union,
)
from exporter.model.target import Target, TargetKey
from exporter.store.change_history import ChangeHistory


class Changes(NamedTuple):
    """Changes since the last render.

    Attributes:
        layout: Number of changes so far to the set or the order of targets and clouds.
        aspects: What polls have changed of targets; all of it if they are new.
    """

    layout: int
    aspects: Mapping[TargetKey, Set[Aspect]]


class StoredImage(NamedTuple):
    """A target with all that the store has about it.

    Attributes:
        target: The target.
        observation: Its latest observation.
        cloud: The state of its cloud.
        changes: The latest polls that showed a change, the newest first.
    """

    target: Target
    observation: Observation
    cloud: CloudState
    changes: Sequence[ChangeEvent]


class Store:
    """Targets, observations and cloud states; thread-safe.

    Attributes:
        transaction_lock: Held while a reload changes the store in several steps, and by readers
            that must not see half of a reload or need several reads to be consistent.
    """

    def __init__(self) -> None:
        self.transaction_lock = threading.RLock()
        self._lock = threading.Lock()
        self._targets: dict[TargetKey, Target] = {}
        self._observations: dict[TargetKey, Observation] = {}
        self._clouds: dict[str, CloudState] = {}
        self._cut: set[TargetKey] = set()
        self._changed: dict[TargetKey, Set[Aspect]] = {}
        self._removed: set[TargetKey] = set()
        self._layout = 0
        self._updates = 0
        self._image_changes = 0
        self._history = ChangeHistory()
        self._rendered_at = -inf

    def add_cloud(self, cloud: CloudState, targets: Iterable[Target] = ()) -> None:
        """Add a cloud and its targets, without observations."""
        with self._lock:
            added = {target.key: target for target in targets}
            self._targets.update(added)
            self._mark_added(added)
            self._clouds[cloud.name] = replace(cloud, targets=len(added))
            self._layout += 1

    def set_targets(self, cloud: str, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Replace the targets of a cloud, and return those that are new.

        Targets that remain keep their observations.
        """
        with self._lock:
            new = {target.key: target for target in targets}
            old = {key: target for key, target in self._targets.items() if key.cloud == cloud}
            if list(new.values()) == list(old.values()):
                return ()
            by_cloud = self._targets_by_cloud()
            by_cloud[cloud] = new
            self._set_targets_in_order(by_cloud)
            added = tuple(target for key, target in new.items() if key not in old)
            self._mark_added([target.key for target in added])
            self._mark_removed(old.keys() - new.keys())
            self._clouds[cloud] = replace(self._clouds[cloud], targets=len(new))
            for key in [key for key, target in new.items() if old.get(key) != target]:
                self._count_cut_labels(key)
            return added

    def remove_cloud(self, cloud: str) -> None:
        """Remove a cloud and its targets.

        Raises:
            KeyError: The cloud is not in the store.
        """
        with self._lock:
            del self._clouds[cloud]
            keys = [key for key in self._targets if key.cloud == cloud]
            for key in keys:
                del self._targets[key]
            self._mark_removed(keys)

    def reorder_clouds(self, clouds: Sequence[str]) -> None:
        """Order the clouds and their targets; ``clouds`` must name every cloud."""
        with self._lock:
            if list(self._clouds) == list(clouds):
                return
            by_cloud = self._targets_by_cloud()
            self._clouds = {name: self._clouds[name] for name in clouds}
            self._set_targets_in_order({name: by_cloud[name] for name in clouds})
            self._layout += 1

    def remove_target(self, key: TargetKey) -> None:
        """Remove a target.

        Raises:
            KeyError: The target is not in the store.
        """
        with self._lock:
            del self._targets[key]
            self._mark_removed({key})
            state = self._clouds[key.cloud]
            self._clouds[key.cloud] = replace(state, targets=state.targets - 1)

    def has_target(self, key: TargetKey) -> bool:
        """Return True if the target is in the store."""
        with self._lock:
            return key in self._targets

    def current(self, targets: Iterable[Target]) -> list[tuple[Target, Observation]]:
        """Return the given targets that are still in the store, with their observations."""
        with self._lock:
            return [
                (target, self._observations[target.key])
                for target in targets
                if target.key in self._targets
            ]

    def find(self, key: TargetKey) -> StoredImage | None:
        """Return a target with all that is known about it, or None if it is not watched."""
        with self._lock:
            target = self._targets.get(key)
            if target is None:
                return None
            observation, cloud = self._observations[key], self._clouds[key.cloud]
            return StoredImage(target, observation, cloud, self._history.events(key))

    def observation(self, key: TargetKey) -> Observation:
        """Return the latest observation of a target.

        The observation of a removed target is available until the next ``take_changes``, for a
        rendering in progress.

        Raises:
            KeyError: The target is not in the store.
        """
        return self._observations[key]

    def observe(self, key: TargetKey, observation: Observation) -> None:
        """Replace the observation of a target."""
        with self._lock:
            before = self._observations[key]
            if observation.changed_at is not before.changed_at:
                self._history.record(key, observation)
                self._image_changes += 1
            changed = observation.changed_aspects(before, self._rendered_at)
            if changed:
                self._changed[key] = union(changed, self._changed.get(key, NO_ASPECTS))
            self._observations[key] = observation
            self._updates += 1
            if Aspect.IMAGE in changed:
                self._count_cut_labels(key)

    def restore(
        self,
        observations: Mapping[TargetKey, Observation],
        events: Iterable[tuple[TargetKey, ChangeEvent]],
    ) -> None:
        """Continue with what an earlier process knew of the targets, before their first poll.

        Args:
            observations: The latest observations; those of other targets are ignored.
            events: Polls that showed changes, in any order.
        """
        with self._lock:
            for key in observations.keys() & self._targets.keys():
                self._observations[key] = observations[key]
                self._changed[key] = ALL_ASPECTS
                self._count_cut_labels(key)
            for key, event in sorted(events, key=lambda pair: pair[1].at.wall):
                if key in self._targets:
                    self._history.add(key, event)

    @property
    def revision(self) -> int:
        """Number of changes so far: to targets, observations and clouds."""
        return self._layout + self._updates

    @property
    def image_changes(self) -> int:
        """Number of polls of this process that showed a change."""
        return self._image_changes

    def take_changes(self, now: float) -> Changes:
        """Return the changes since the last call, and clear them; ``now`` is a monotonic time."""
        with self._lock:
            self._rendered_at = now
            changed, self._changed = self._changed, {}
            # A difference of sets would visit every target.
            for key in self._removed:
                if key not in self._targets:
                    del self._observations[key]
            self._removed.clear()
            return Changes(self._layout, changed)

    def cloud(self, name: str) -> CloudState:
        """Return the latest state of a cloud.

        Raises:
            KeyError: The cloud is not in the store.
        """
        return self._clouds[name]

    def update_cloud(self, name: str, change: Callable[[CloudState], CloudState]) -> None:
        """Replace the state of a cloud by the result of ``change``.

        ``change`` is pure. It runs with the lock held, so no update of another thread is lost.

        Raises:
            KeyError: The cloud is not in the store.
        """
        with self._lock:
            self._clouds[name] = change(self._clouds[name])
            self._updates += 1

    def clouds(self) -> list[CloudState]:
        """Return the state of every cloud, in order."""
        with self._lock:
            return list(self._clouds.values())

    def targets(self) -> Mapping[TargetKey, Target]:
        """Return every target, in order."""
        with self._lock:
            return dict(self._targets)

    def observations(self) -> list[tuple[Target, Observation]]:
        """Return every target with its latest observation, in order."""
        with self._lock:
            return [(target, self._observations[key]) for key, target in self._targets.items()]

    def _targets_by_cloud(self) -> dict[str, dict[TargetKey, Target]]:
        """Group the targets by cloud. The caller holds the lock."""
        by_cloud: dict[str, dict[TargetKey, Target]] = {name: {} for name in self._clouds}
        for key, target in self._targets.items():
            by_cloud[key.cloud][key] = target
        return by_cloud

    def _set_targets_in_order(self, by_cloud: Mapping[str, Mapping[TargetKey, Target]]) -> None:
        """Replace all targets. The caller holds the lock."""
        self._targets = {
            key: target for targets in by_cloud.values() for key, target in targets.items()
        }

    def _mark_added(self, keys: Collection[TargetKey]) -> None:
        """Record that targets were added, perhaps again. The caller holds the lock."""
        self._observations.update(dict.fromkeys(keys, NEVER_POLLED))
        self._changed.update(dict.fromkeys(keys, ALL_ASPECTS))

    def _mark_removed(self, keys: Collection[TargetKey]) -> None:
        """Record that targets were removed. The caller holds the lock."""
        self._removed.update(keys)
        for key in keys:
            self._changed.pop(key, None)
            self._history.forget(key)
            self._count_cut_labels(key)
        self._layout += 1

    def _count_cut_labels(self, key: TargetKey) -> None:
        """Count a target if its image has cut labels. The caller holds the lock."""
        target, image = self._targets.get(key), self._observations[key].image
        is_cut = target is not None and image is not None and target.has_cut_labels(image)
        if is_cut == (key in self._cut):
            return
        if is_cut:
            self._cut.add(key)
        else:
            self._cut.discard(key)
        state = self._clouds.get(key.cloud)
        if state is not None:  # None if the cloud is being removed
            self._clouds[key.cloud] = replace(
                state, cut_images=state.cut_images + (1 if is_cut else -1)
            )
