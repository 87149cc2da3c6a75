"""Discovery of one cloud's images: list the images regularly, and watch those that match."""

import logging
import random as default_random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf

from exporter.glance.client import ImageClient
from exporter.glance.discovery_listing import fetch_images
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
from exporter.model.target import DEFAULT_LABEL_VALUE_LIMIT, OperatorLabels, Target, TargetKey
from exporter.polling.failure_tracker import Cause, FailureTracker
from exporter.polling.page_retries import RetryingPageClient
from exporter.store import Store

log = logging.getLogger(__name__)

MAX_LOG_LINES = 20
"""Log lines per listing about single images; a new role may add or remove thousands."""


class Discovery:
    """The discovered images of one cloud; thread-safe.

    Attributes:
        interval: Seconds between two listings.
        failure: Why the last listing failed.
        is_listed: A listing has succeeded since the start, or since a configured image was removed.
        wait_until: Monotonic time until which no request may be sent (Retry-After).
        is_unavailable: The service set ``wait_until`` with 503.
        leaving: IDs of the images that matched no rule when the current cycle started.
    """

    def __init__(
        self,
        cloud: str,
        rules: Sequence[DiscoveryRule],
        configured: Sequence[Target],
        *,
        client: ImageClient,
        store: Store,
        interval: float,
        forget_after: float,
        clock: Callable[[], Instant],
        shard: Shard = UNSHARDED,
        exported_properties: frozenset[str] | None = None,
        label_value_limit: int = DEFAULT_LABEL_VALUE_LIMIT,
        random: Callable[[], float] = default_random.random,
    ) -> None:
        """Create a discovery that has listed nothing yet.

        Args:
            cloud: Name of the cloud.
            rules: An image that matches one of them is watched.
            configured: Configured targets of all shards, which are watched without a listing.
            client: Client of the cloud.
            store: Store of the targets.
            interval: Seconds between two listings.
            forget_after: Seconds after which a gone image that matches no rule is removed.
            clock: Returns the current time.
            shard: The shard whose images are watched.
            exported_properties: The properties to export of discovered images, see ``Target``.
            label_value_limit: Maximum size of a label value of discovered images, see ``Target``.
            random: Returns numbers from 0 to 1, for the backoff before a retry.
        """
        self.interval = interval
        self.failure: Failed | None = None
        self.is_listed = False
        self.wait_until = -inf
        self.is_unavailable = False
        self.leaving: frozenset[str] = frozenset()
        self._cloud = cloud
        self._rules = rules
        self._shard = shard
        self._configured_ids, self._configured = self._split(configured)
        self._store = store
        self._forget_after = forget_after
        self._clock = clock
        self._exported_properties = exported_properties
        self._label_value_limit = label_value_limit
        self._properties = frozenset(name for rule in rules for name, _ in rule.properties)
        self._listing = threading.Lock()
        self._lock = threading.Lock()
        self._discovered: dict[str, DiscoveredImage] = {}
        self._resolved: dict[str, str] = {}
        self._failures = FailureTracker()
        self._stopped = threading.Event()
        self._client = RetryingPageClient(client, random, self._stopped)

    def refresh(self, deadline: Deadline) -> None:
        """List the images and update the targets; nothing changes if that fails.

        Returns at once if another thread is listing them already.
        """
        if not self._listing.acquire(blocking=False):
            return
        try:
            listed = fetch_images(self._client, self._rules, deadline, self._properties)
            if listed.retry_at is not None:
                self.wait_until = listed.retry_at
                self.is_unavailable = listed.is_unavailable
            images = listed.images
            if self._stopped.is_set():
                return
            if isinstance(images, Failed):
                self._record_failure(images)
            else:
                result = apply_rules(self._rules, images, self._configured_ids)
                self._apply(self._shard.own_part(self._cloud, result))
        except Exception:
            log.exception("discovery crashed")
        finally:
            self._listing.release()

    def start_cycle(self) -> tuple[Target, ...]:
        """Return the targets of a new cycle, without images that have been gone for too long."""
        with self._lock:
            now = self._clock().monotonic
            for image_id, image in tuple(self._discovered.items()):
                if not self._stopped.is_set() and image.is_expired(self._forget_after, now):
                    self._remove(image_id)
                    log.info("stopped watching image", extra=self._about(image_id, image.label))
            # Only polls of this cycle count: an earlier request may precede the listing.
            self.leaving = frozenset(
                image_id for image_id, image in self._discovered.items() if not image.matches
            )
            return self._targets()

    def take_outcome(self, image_id: str, outcome: Outcome) -> bool:
        """Take the outcome of a poll; return True if the image is not (or no longer) watched.

        An image that exists but no longer matches a rule is removed: it was renamed, for example,
        or its alias resolves to another image.
        """
        if image_id in self._configured:
            return False
        with self._lock:
            image = self._discovered.get(image_id)
            if image is None:
                return True
            if isinstance(outcome, Failed):
                return False
            exists = isinstance(outcome, Found) and outcome.image.exists
            after = image.after_poll(exists, self._clock().monotonic)
            if after is not None:
                self._discovered[image_id] = after
            elif image_id in self.leaving:
                self._remove(image_id)
                return True
            return False

    def targets(self) -> tuple[Target, ...]:
        """Return all targets that are watched now."""
        with self._lock:
            return self._targets()

    def set_configured(self, configured: Sequence[Target]) -> tuple[Target, ...]:
        """Replace the configured targets; return the targets that were not watched before."""
        with self._lock:
            before = self._configured_ids
            self._configured_ids, self._configured = self._split(configured)
            for image_id in self._configured_ids:
                self._discovered.pop(image_id, None)
            if before - self._configured_ids:
                # A rule may match a removed image now. That includes images of other shards: the
                # shard of the alias need not be the shard of the ID.
                self.is_listed = False
            return self._store.set_targets(self._cloud, self._targets())

    def take_over_from(self, other: "Discovery") -> None:
        """Continue with the images that another discovery found, until the first listing."""
        self.continue_with(*other.memory())

    def memory(self) -> tuple[dict[str, DiscoveredImage], dict[str, str]]:
        """Return the discovered images, and the ID that each alias resolved to, for a successor."""
        with self._lock:
            return dict(self._discovered), dict(self._resolved)

    def continue_with(
        self, discovered: Mapping[str, DiscoveredImage], resolved: Mapping[str, str]
    ) -> None:
        """Continue with the memory of another discovery, until the first listing."""
        with self._lock:
            self._discovered = {
                image_id: self._with_label_names(image)
                for image_id, image in discovered.items()
                if image_id not in self._configured_ids
            }
            self._resolved = dict(resolved)

    def stop(self) -> None:
        """Change nothing from now on; ignore the result of a listing in progress."""
        with self._lock:
            self._stopped.set()

    def _record_failure(self, failed: Failed) -> None:
        if self._failures.record_failure(Cause.of(failed)):
            fields = {"cloud": self._cloud, "reason": failed.reason, "detail": failed.detail}
            log.warning("discovery failed", extra={"fields": fields})
        self.failure = failed
        with self._lock:
            # After a reload the cloud may belong to another discovery, which would not clear this
            # failure.
            if not self._stopped.is_set():
                self._store.update_cloud(
                    self._cloud, lambda state: replace(state, discovery_failure=failed)
                )

    def _apply(self, result: DiscoveryResult) -> None:
        """Watch the images of a listing."""
        with self._lock:
            if self._stopped.is_set():
                return
            before = self._discovered
            self._discovered = merge_discovered(before, result)
            self.leaving -= result.labels.keys()
            self._store.set_targets(self._cloud, self._targets())
            self._resolve(result.aliases)
            after = dict(self._discovered)
        if self._failures.record_success():
            log.info("discovery recovered", extra={"fields": {"cloud": self._cloud}})
        self.failure, self.is_listed = None, True
        self._log_changes(before, after)

    def _resolve(self, aliases: Mapping[str, str]) -> None:
        """Store the image of each alias, and count the aliases that resolve to another image."""
        changes = dict(self._store.cloud(self._cloud).resolved_changes)
        for alias, image_id in aliases.items():
            old = self._resolved.get(alias, image_id)
            if old != image_id:
                changes[alias] += 1
                fields = {"cloud": self._cloud, "image": alias, "old": old, "new": image_id}
                log.info("alias now resolves to another image", extra={"fields": fields})
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

    def _log_changes(
        self, before: Mapping[str, DiscoveredImage], after: Mapping[str, DiscoveredImage]
    ) -> None:
        old, new = _matching_ids(before), _matching_ids(after)
        events = [(image_id, "image no longer matches") for image_id in sorted(old - new)]
        events += [(image_id, "image discovered") for image_id in sorted(new - old)]
        for image_id, message in events[:MAX_LOG_LINES]:
            log.info(message, extra=self._about(image_id, after[image_id].label))
        if len(events) > MAX_LOG_LINES:
            fields = {"cloud": self._cloud, "suppressed": len(events) - MAX_LOG_LINES}
            log.info("further discovery changes suppressed", extra={"fields": fields})

    def _remove(self, image_id: str) -> None:
        del self._discovered[image_id]
        self._store.remove_target(TargetKey(self._cloud, image_id))

    def _split(self, configured: Sequence[Target]) -> tuple[frozenset[str], dict[str, Target]]:
        """Return the IDs of all configured targets, and the targets of this shard by ID."""
        of_this_shard = {
            target.image_id: target
            for target in configured
            if self._shard.owns_image(self._cloud, target.image_id)
        }
        return frozenset(target.image_id for target in configured), of_this_shard

    def _targets(self) -> tuple[Target, ...]:
        discovered = (
            Target(
                self._cloud,
                image_id,
                image.label,
                "discovered",
                image.expect,
                self._exported_properties,
                self._label_value_limit,
                image.operator_labels,
            )
            for image_id, image in self._discovered.items()
        )
        return (*self._configured.values(), *discovered)

    def _with_label_names(self, image: DiscoveredImage) -> DiscoveredImage:
        """Return an image of an earlier configuration with the names of the operator's labels."""
        known = dict(image.operator_labels)
        labels = self._rules[0].operator_labels if self._rules else ()
        fitted: OperatorLabels = tuple((name, known.get(name, "")) for name, _ in labels)
        return replace(image, operator_labels=fitted)

    def _about(self, image_id: str, label: str) -> dict[str, object]:
        return {"fields": {"cloud": self._cloud, "image": label, "image_id": image_id}}


def _matching_ids(images: Mapping[str, DiscoveredImage]) -> frozenset[str]:
    return frozenset(image_id for image_id, image in images.items() if image.matches)
