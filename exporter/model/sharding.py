"""Which of several exporters watches an image: each image belongs to exactly one shard.

Rendezvous hashing: every shard has a score for the image, and the highest wins. So nobody has to
agree with anybody, and with one shard more an image stays where it is or goes to the new one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from exporter.model.discovery import DiscoveryResult, DiscoveryRule


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``total`` shards, of which the first has the index 0."""

    index: int = 0
    total: int = 1

    def owns_image(self, cloud: str, image_id: str) -> bool:
        """Whether this shard watches the image, which belongs to one shard whatever its alias."""
        return self._wins(f"image\0{cloud}\0{image_id}")

    def owns_alias(self, cloud: str, alias: str) -> bool:
        """Whether this shard watches what the alias of a discovery stands for, whichever it is.

        So the changes of an alias are all counted in one place.
        """
        return self._wins(f"alias\0{cloud}\0{alias}")

    def own_aliases(self, cloud: str, entries: Iterable[DiscoveryRule]) -> tuple[str, ...]:
        """The aliases of a cloud's discoveries that are this shard's, in their order."""
        aliases = (entry.alias for entry in entries)
        return tuple(each for each in aliases if each is not None and self.owns_alias(cloud, each))

    def own_part(self, cloud: str, resolution: DiscoveryResult) -> DiscoveryResult:
        """What of a cloud's discovered images and aliases is this shard's."""
        aliases = resolution.aliases
        own = {alias for alias in aliases if self.owns_alias(cloud, alias)}
        labels = {
            image_id: label
            for image_id, label in resolution.labels.items()
            if (
                label in own if aliases.get(label) == image_id else self.owns_image(cloud, image_id)
            )
        }
        return DiscoveryResult(
            labels,
            {alias: aliases[alias] for alias in aliases if alias in own},
            {each: expect for each, expect in resolution.expectations.items() if each in labels},
        )

    def _wins(self, what: str) -> bool:
        return owning_shard(what, self.total) == self.index


UNSHARDED = Shard()
"""The only shard: it has everything."""


def owning_shard(what: str, total: int) -> int:
    """The index of the shard with the highest score for something; all shards are equal to it."""
    return max(range(total), key=lambda index: _score(index, what)) if total > 1 else 0


def _score(index: int, what: str) -> bytes:
    return blake2b(f"{index}\0{what}".encode(), digest_size=8).digest()
