"""One cloud's discovered images: listed now and then, watched from then on, let go in the end."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf

from exporter.glance.client import ImageClient
from exporter.glance.discovery_listing import fetch_images, listing_paths
from exporter.model.discovery import (
    DiscoveredImage,
    DiscoveryResult,
    DiscoveryRule,
    apply_rules,
    merge_discovered,
)
from exporter.model.instant import Instant
from exporter.model.outcome import Failed, Found, Outcome
from exporter.model.replies import Deadline
from exporter.model.sharding import UNSHARDED, Shard
from exporter.model.target import Target, TargetKey
from exporter.store import Store

log = logging.getLogger(__name__)

MOST_LINES = 20
"""Lines per list about single images; a new role may bring or take thousands."""


class Discovery:
    """Keeps the targets of a cloud in step with what its images are; thread-safe.

    ``configured`` are the targets that stay whatever is listed; those of them, and of the images
    that are discovered, which belong to another shard are left to that. ``shown`` are the
    properties that are shown of discovered ones, see ``Target``. ``failure`` says why the last list
    that was asked for is not there, ``succeeded`` whether there ever was one.
    ``wait_until`` is when the service may be asked again, in steady seconds.
    """

    def __init__(
        self,
        cloud: str,
        entries: Sequence[DiscoveryRule],
        configured: Sequence[Target],
        *,
        client: ImageClient,
        store: Store,
        interval: float,
        forget_after: float,
        clock: Callable[[], Instant],
        shard: Shard = UNSHARDED,
        shown: frozenset[str] | None = None,
    ) -> None:
        self.interval = interval
        self.failure: Failed | None = None
        self.succeeded = False
        self.wait_until = -inf
        self.leaving: frozenset[str] = frozenset()
        self._cloud = cloud
        self._entries = entries
        self._shard = shard
        self._listed, self._configured = self._on_the_list(configured)
        self._client = client
        self._store = store
        self._forget_after = forget_after
        self._clock = clock
        self._shown = shown
        self._properties = frozenset(name for each in entries for name, _ in each.properties)
        self._paths = listing_paths(entries)
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._members: dict[str, DiscoveredImage] = {}
        self._resolved: dict[str, str] = {}
        self._stopped = threading.Event()

    @property
    def unresolved(self) -> tuple[str, ...]:
        """The aliases for which there is no image in the last list."""
        resolved = self._store.cloud(self._cloud).resolved
        aliases = self._shard.own_aliases(self._cloud, self._entries)
        return tuple(alias for alias in aliases if alias not in resolved)

    def refresh(self, within: Deadline) -> None:
        """Lists the images and follows what has changed; where that fails, nothing changes.

        Returns at once while another thread is at it.
        """
        if not self._turn.acquire(blocking=False):
            return
        try:
            listed = fetch_images(self._client, self._paths, within, self._properties)
            if listed.retry_at is not None:
                self.wait_until = listed.retry_at
            images = listed.images
            if self._stopped.is_set():
                return
            if isinstance(images, Failed):
                self._note_failure(images)
            else:
                resolution = apply_rules(self._entries, images, self._listed)
                self._follow(self._shard.own_part(self._cloud, resolution))
        except Exception:
            log.exception("bug: a discovery failed")
        finally:
            self._turn.release()

    def begin(self) -> tuple[Target, ...]:
        """The targets of a cycle that begins now, without those that were gone for long enough."""
        with self._lock:
            now = self._clock().monotonic
            for image_id, member in tuple(self._members.items()):
                if not self._stopped.is_set() and member.is_expired(self._forget_after, now):
                    self._drop(image_id)
                    log.info("image is forgotten", extra=self._about(image_id, member.label))
            # A question of the cycle before may be older than the list that an image is not on.
            self.leaving = frozenset(
                image_id for image_id, member in self._members.items() if not member.matches
            )
            return self._targets()

    def drops(self, image_id: str, outcome: Outcome) -> bool:
        """Whether a poll's outcome is of no use: the image is superseded, and dropped by now."""
        if image_id in self._configured:
            return False
        with self._lock:
            member = self._members.get(image_id)
            if member is None:
                return True
            if isinstance(outcome, Failed):
                return False
            exists = isinstance(outcome, Found) and outcome.image.exists
            after = member.after_poll(exists, self._clock().monotonic)
            if after is not None:
                self._members[image_id] = after
            elif image_id in self.leaving:
                self._drop(image_id)
                return True
            return False

    def targets(self) -> tuple[Target, ...]:
        """All that is watched now."""
        with self._lock:
            return self._targets()

    def configure(self, configured: Sequence[Target]) -> tuple[Target, ...]:
        """Has these targets stay whatever is listed; returns those that were not watched before."""
        with self._lock:
            before = self._listed
            self._listed, self._configured = self._on_the_list(configured)
            for image_id in self._listed:
                self._members.pop(image_id, None)
            if before - self._listed:
                # What was taken off the list, another shard's too, may be discovered by now: an
                # alias need not be at home where the image's ID is.
                self.succeeded = False
            return self._store.set_targets(self._cloud, self._targets())

    def take_over_from(self, other: "Discovery") -> None:
        """Goes on with what another discovered, until the first list of its own."""
        with other._lock:
            members, resolved = dict(other._members), dict(other._resolved)
        with self._lock:
            self._members = {
                image_id: member
                for image_id, member in members.items()
                if image_id not in self._listed
            }
            self._resolved = resolved

    def stop(self) -> None:
        """A list that is under way is of no use any more, and changes nothing from now on."""
        with self._lock:
            self._stopped.set()

    def _note_failure(self, failed: Failed) -> None:
        if self.failure is None or self.failure.reason != failed.reason:
            fields = {"cloud": self._cloud, "reason": failed.reason, "detail": failed.detail}
            log.warning("discovery failed", extra={"fields": fields})
        self.failure = failed
        with self._lock:
            # Else it might come after the reload that ended this, and stay for ever.
            if not self._stopped.is_set():
                self._store.update_cloud(
                    self._cloud, lambda state: replace(state, discovery_failure=failed)
                )

    def _follow(self, resolution: DiscoveryResult) -> None:
        with self._lock:
            if self._stopped.is_set():
                return
            before, self._members = self._members, merge_discovered(self._members, resolution)
            self.leaving -= resolution.labels.keys()
            self._store.set_targets(self._cloud, self._targets())
            self._resolve(resolution.aliases)
            after = dict(self._members)
        if self.failure is not None:
            log.info("discovery succeeds again", extra={"fields": {"cloud": self._cloud}})
        self.failure, self.succeeded = None, True
        self._note(before, after)

    def _resolve(self, aliases: Mapping[str, str]) -> None:
        """Counts the aliases that stand for another image than the last one they stood for."""
        changes = dict(self._store.cloud(self._cloud).resolved_changes)
        for alias, image_id in aliases.items():
            old = self._resolved.get(alias, image_id)
            if old != image_id:
                changes[alias] += 1
                fields = {"cloud": self._cloud, "image": alias, "old": old, "new": image_id}
                log.info("alias stands for another image", extra={"fields": fields})
        self._resolved |= aliases
        discovered_at = self._clock().wall
        self._store.update_cloud(
            self._cloud,
            lambda state: replace(
                state,
                discovered_at=discovered_at,
                discovery_failure=None,
                resolved=dict(aliases),
                resolved_changes=changes,
            ),
        )

    def _note(
        self, before: Mapping[str, DiscoveredImage], after: Mapping[str, DiscoveredImage]
    ) -> None:
        matched, matching = (
            {image_id for image_id, member in members.items() if member.matches}
            for members in (before, after)
        )
        lines = [(each, "image matches no more") for each in sorted(matched - matching)]
        lines += [(each, "image discovered") for each in sorted(matching - matched)]
        for image_id, line in lines[:MOST_LINES]:
            log.info(line, extra=self._about(image_id, after[image_id].label))
        if len(lines) > MOST_LINES:
            fields = {"cloud": self._cloud, "more": len(lines) - MOST_LINES}
            log.info("more images are discovered or match no more", extra={"fields": fields})

    def _drop(self, image_id: str) -> None:
        del self._members[image_id]
        self._store.remove_target(TargetKey(self._cloud, image_id))

    def _on_the_list(
        self, configured: Sequence[Target]
    ) -> tuple[frozenset[str], dict[str, Target]]:
        """The IDs of all shards' images, and this one's own."""
        listed = {target.image_id: target for target in configured}
        mine = (each for each in listed if self._shard.owns_image(self._cloud, each))
        return frozenset(listed), {image_id: listed[image_id] for image_id in mine}

    def _targets(self) -> tuple[Target, ...]:
        found = (
            Target(self._cloud, image_id, member.label, "discovered", member.expect, self._shown)
            for image_id, member in self._members.items()
        )
        return (*self._configured.values(), *found)

    def _about(self, image_id: str, label: str) -> dict[str, object]:
        return {"fields": {"cloud": self._cloud, "image": label, "image_id": image_id}}
