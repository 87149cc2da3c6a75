"""What is known now: the latest observation of each target and the state of each cloud.

The only state that polling and the web share. Observations and states are frozen, so a reader
takes a reference and needs no lock for longer than that.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from exporter.model.cloud import CloudState
from exporter.model.observation import NEVER_POLLED, Observation
from exporter.model.target import Target, TargetKey


class Changes(NamedTuple):
    """What changed in a store.

    ``layout`` counts the changes to what is watched; ``keys`` are the targets whose series were
    changed by an answer or a failure.
    """

    layout: int
    keys: set[TargetKey]


class Store:
    """Targets, observations and cloud states; thread-safe.

    ``whole`` is held while a new configuration is taken into use in several steps, and by whoever
    must not see half of that, or reads more than once and wants it to fit together.
    """

    def __init__(self) -> None:
        self.whole = threading.RLock()
        self._lock = threading.Lock()
        self._targets: dict[TargetKey, Target] = {}
        self._observations: dict[TargetKey, Observation] = {}
        self._clouds: dict[str, CloudState] = {}
        self._changed: set[TargetKey] = set()
        self._dropped: set[TargetKey] = set()
        self._layout = 0

    def watch(self, cloud: CloudState, targets: Iterable[Target]) -> None:
        """Adds a cloud and what is watched in it; nothing is known of either yet."""
        with self._lock:
            added = {target.key: target for target in targets}
            self._targets.update(added)
            self._observations.update(dict.fromkeys(added, NEVER_POLLED))
            self._clouds[cloud.name] = replace(cloud, targets=len(added))
            self._layout += 1

    def retarget(self, cloud: str, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Replaces what is watched in a cloud that is there; what is known of what stays stays.

        Returns the targets that were not watched before.
        """
        with self._lock:
            wanted = {target.key: target for target in targets}
            known = {key: each for key, each in self._targets.items() if key.cloud == cloud}
            if list(wanted.values()) == list(known.values()):
                return ()
            by_cloud = self._by_cloud()
            by_cloud[cloud] = wanted
            self._targets = {key: each for some in by_cloud.values() for key, each in some.items()}
            added = tuple(each for key, each in wanted.items() if key not in known)
            self._observations.update({target.key: NEVER_POLLED for target in added})
            self._forget(known.keys() - wanted.keys())
            self._clouds[cloud] = replace(self._clouds[cloud], targets=len(wanted))
            return added

    def forget(self, cloud: str) -> None:
        """Watches a cloud no longer, nor anything in it; raises ``KeyError`` for an unknown one."""
        with self._lock:
            del self._clouds[cloud]
            leaving = [key for key in self._targets if key.cloud == cloud]
            for key in leaving:
                del self._targets[key]
            self._forget(leaving)

    def arrange(self, clouds: Sequence[str]) -> None:
        """Puts the clouds, and what is watched in them, in this order; it has to name them all."""
        with self._lock:
            if list(self._clouds) == list(clouds):
                return
            by_cloud = self._by_cloud()
            self._clouds = {name: self._clouds[name] for name in clouds}
            self._targets = {key: each for name in clouds for key, each in by_cloud[name].items()}
            self._layout += 1

    def drop(self, key: TargetKey) -> None:
        """Watches a target no longer; raises ``KeyError`` for what is not watched."""
        with self._lock:
            del self._targets[key]
            self._forget({key})
            state = self._clouds[key.cloud]
            self._clouds[key.cloud] = replace(state, targets=state.targets - 1)

    def known(self, targets: Iterable[Target]) -> list[tuple[Target, Observation]]:
        """Those of the targets that are watched still, each with its latest observation."""
        with self._lock:
            return [
                (target, self._observations[target.key])
                for target in targets
                if target.key in self._targets
            ]

    def observation(self, key: TargetKey) -> Observation:
        """The latest observation; raises ``KeyError`` for what is not watched.

        What is dropped is known until changes are next taken, for the one who renders.
        """
        return self._observations[key]

    def observe(self, key: TargetKey, observation: Observation) -> None:
        """Replaces the observation of a target."""
        with self._lock:
            if not observation.renders_same_as(self._observations[key]):
                self._changed.add(key)
            self._observations[key] = observation

    def take_changes(self) -> Changes:
        """What has changed since this was last called, for the one who renders."""
        with self._lock:
            changed, self._changed = self._changed, set()
            for key in self._dropped - self._targets.keys():
                del self._observations[key]
            self._dropped.clear()
            return Changes(self._layout, changed)

    def cloud(self, name: str) -> CloudState:
        """The latest state; raises ``KeyError`` for a cloud that is not there."""
        return self._clouds[name]

    def update_cloud(self, name: str, change: Callable[[CloudState], CloudState]) -> None:
        """Replace the state of a cloud by what ``change`` makes of it.

        ``change`` is pure. It runs with the lock held, so no update of another thread is lost.

        Raises:
            KeyError: The cloud is not in the store.
        """
        with self._lock:
            self._clouds[name] = change(self._clouds[name])

    def clouds(self) -> list[CloudState]:
        """The state of every cloud, in the order they were added."""
        with self._lock:
            return list(self._clouds.values())

    def targets(self) -> Mapping[TargetKey, Target]:
        """Every target, in the order they were added."""
        with self._lock:
            return dict(self._targets)

    def seen(self) -> list[tuple[Target, Observation]]:
        """Every target with its latest observation, in the order they were added."""
        with self._lock:
            return [(target, self._observations[key]) for key, target in self._targets.items()]

    def _by_cloud(self) -> dict[str, dict[TargetKey, Target]]:
        """What is watched in each cloud; with the lock held."""
        by_cloud: dict[str, dict[TargetKey, Target]] = {name: {} for name in self._clouds}
        for key, target in self._targets.items():
            by_cloud[key.cloud][key] = target
        return by_cloud

    def _forget(self, keys: Collection[TargetKey]) -> None:
        """What was watched under these keys is not any more; with the lock held."""
        self._dropped.update(keys)
        self._changed.difference_update(keys)
        self._layout += 1
