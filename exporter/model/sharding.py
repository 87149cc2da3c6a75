"""Distribution of images over several exporters: each image belongs to exactly one shard.

The distribution is rendezvous hashing: every shard has a score for the image, and the highest score
wins. So the shards need no coordination, and if a shard is added, an image either stays where it is
or moves to the new shard.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from exporter.model.discovery import DiscoveryResult, DiscoveryRule


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``total`` shards. The first has the index 0."""

    index: int = 0
    total: int = 1

    def owns_image(self, cloud: str, image_id: str) -> bool:
        """Return True if this shard watches an image that is known by its ID."""
        return self._owns(f"image\0{cloud}\0{image_id}")

    def owns_alias(self, cloud: str, alias: str) -> bool:
        """Return True if this shard watches the image that a discovery alias resolves to.

        The shard does not depend on the image, so one shard counts all changes of an alias.
        """
        return self._owns(f"alias\0{cloud}\0{alias}")

    def own_aliases(self, cloud: str, rules: Iterable[DiscoveryRule]) -> tuple[str, ...]:
        """Return this shard's aliases of a cloud's discovery rules, in their order."""
        aliases = (rule.alias for rule in rules if rule.alias is not None)
        return tuple(alias for alias in aliases if self.owns_alias(cloud, alias))

    def own_part(self, cloud: str, result: DiscoveryResult) -> DiscoveryResult:
        """Return the part of a cloud's discovery result that belongs to this shard."""
        aliases: dict[str, str] = {}
        for alias, image_id in result.aliases.items():
            if self.owns_alias(cloud, alias):
                aliases[alias] = image_id
        labels: dict[str, str] = {}
        for image_id, label in result.labels.items():
            is_alias = result.aliases.get(label) == image_id
            is_own = label in aliases if is_alias else self.owns_image(cloud, image_id)
            if is_own:
                labels[image_id] = label
        rules = {image_id: rule for image_id, rule in result.rules.items() if image_id in labels}
        return DiscoveryResult(labels, aliases, rules)

    def _owns(self, key: str) -> bool:
        return owning_shard(key, self.total) == self.index


UNSHARDED = Shard()
"""The only shard, which owns everything."""


def owning_shard(key: str, total: int) -> int:
    """Return the index of the shard with the highest score for a key."""
    return max(range(total), key=lambda index: _score(index, key)) if total > 1 else 0


def _score(index: int, key: str) -> bytes:
    return blake2b(f"{index}\0{key}".encode(), digest_size=8).digest()
