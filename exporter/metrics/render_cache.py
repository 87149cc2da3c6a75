"""Rendered metrics of all images, kept compressed until an image changes."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from functools import cache
from itertools import accumulate, groupby
from typing import NamedTuple

from exporter.metrics import gzip_stream
from exporter.metrics.checksum import Checksum, join_checksums
from exporter.metrics.family import render_metadata
from exporter.metrics.image_group import ImageGroup, group_targets
from exporter.metrics.image_metrics import IMAGE_FAMILIES, ImageFamily
from exporter.model.instant import Instant
from exporter.model.observation import Aspect
from exporter.model.target import Target, TargetKey
from exporter.store import Store

TARGETS_PER_GROUP = 256
"""Enough targets to compress well, few enough for a text to be replaced cheaply."""


class RenderedImages(NamedTuple):
    """The metrics of images.

    Attributes:
        pieces: The metrics as chunks of a gzip stream.
        checksum: The checksum of the uncompressed text.
    """

    pieces: tuple[bytes, ...]
    checksum: Checksum


class _Part(NamedTuple):
    """Neighbouring targets of a group: those from index ``start`` to ``end``, exclusively."""

    group: ImageGroup
    start: int
    end: int

    def render(self, family_index: int) -> tuple[bytes, Checksum]:
        """Return the chunk and the checksum of a family."""
        text = self.group.texts[family_index]
        if self.end - self.start == len(self.group.targets):
            return text.compressed, text.checksum
        plain = text.part(self.start, self.end)
        return gzip_stream.compress_chunk(plain) if plain else b"", Checksum.of(plain)


class RenderCache:
    """The rendered metrics of a sequence of targets; not thread-safe.

    Samples are the same in both formats, so they are kept once. Joined pieces and checksums are
    made on demand, and dropped when a text changes.
    """

    def __init__(self, store: Store, families: Sequence[ImageFamily] = IMAGE_FAMILIES) -> None:
        self._store = store
        self._families = families
        self._groups: list[ImageGroup] = []
        self._starts: list[int] = []
        self._positions: dict[TargetKey, int] = {}
        self._pieces: dict[bool, tuple[bytes, ...]] = {}
        self._checksums: dict[int, Checksum] = {}

    def set_targets(self, targets: Mapping[TargetKey, Target]) -> None:
        """Replace the targets. Those of groups that have not changed stay rendered."""
        self._groups = group_targets(
            targets.values(),
            self._groups,
            TARGETS_PER_GROUP,
            lambda group: ImageGroup(group, self._store, self._families),
        )
        sizes = (len(group.targets) for group in self._groups)
        self._starts = [0, *accumulate(sizes)][:-1]
        self._positions = {key: position for position, key in enumerate(targets)}
        self._pieces.clear()
        self._checksums.clear()

    def set_families(self, families: Sequence[ImageFamily]) -> None:
        """Replace the families. Those that stay are not rendered again, others are dropped."""
        self._families = families
        for group in self._groups:
            group.set_families(families)
        self._pieces.clear()
        self._checksums.clear()

    def mark_changed(self, changes: Mapping[TargetKey, Set[Aspect]]) -> None:
        """Mark what polls have changed. Targets that are not in the cache are ignored."""
        for key, aspects in changes.items():
            if key in self._positions:
                position = self._positions[key]
                number = bisect_right(self._starts, position) - 1
                index = position - self._starts[number]
                self._groups[number].dirty.mark_changed(index, aspects)

    def mark_by_time(self, now: Instant, *, is_clock_set: bool) -> None:
        """Mark what time has changed."""
        for group in self._groups:
            group.dirty.mark_by_time(now)
            if is_clock_set:
                group.dirty.mark_after_clock_step()

    def dirty_groups(self) -> list[ImageGroup]:
        """Return the groups with targets that must be rendered again."""
        return [group for group in self._groups if group.dirty.aspects]

    def render(self, groups: Iterable[ImageGroup], now: Instant) -> None:
        """Render the dirty targets of these groups."""
        for group in groups:
            try:
                different = group.render(now)
            except BaseException:
                # Some of the texts may be replaced already.
                self._pieces.clear()
                self._checksums.clear()
                raise
            if different:
                self._pieces.clear()
                for family_index in different:
                    self._checksums.pop(family_index, None)

    def compressed_pieces(self, *, openmetrics: bool) -> tuple[bytes, ...]:
        """Return the metrics of all images as chunks of a gzip stream, shared with the cache."""
        if openmetrics not in self._pieces:
            pieces: list[bytes] = []
            for family_index, family in enumerate(self._families):
                pieces.append(_compressed_metadata(family, openmetrics))
                pieces += (group.texts[family_index].compressed for group in self._groups)
            self._pieces[openmetrics] = tuple(filter(None, pieces))
        return self._pieces[openmetrics]

    def of_clouds(self, clouds: Collection[str], *, openmetrics: bool) -> RenderedImages:
        """Return the metrics of the images of some clouds.

        Groups that have images of other clouds too, at most two per cloud, are decompressed for it.
        """
        parts = [part for group in self._groups for part in _parts_of_clouds(group, clouds)]
        pieces, checksums = [], []
        for family_index, family in enumerate(self._families):
            pieces.append(_compressed_metadata(family, openmetrics))
            checksums.append(Checksum.of(render_metadata(family, openmetrics)))
            for part in parts:
                chunk, checksum = part.render(family_index)
                pieces.append(chunk)
                checksums.append(checksum)
        return RenderedImages(tuple(filter(None, pieces)), join_checksums(checksums))

    def checksum(self, *, openmetrics: bool) -> Checksum:
        """Return the checksum of the uncompressed text of all images."""
        checksums = []
        for family_index, family in enumerate(self._families):
            checksums.append(Checksum.of(render_metadata(family, openmetrics)))
            if family_index not in self._checksums:
                texts = (group.texts[family_index].checksum for group in self._groups)
                self._checksums[family_index] = join_checksums(texts)
            checksums.append(self._checksums[family_index])
        return join_checksums(checksums)


def _parts_of_clouds(group: ImageGroup, clouds: Collection[str]) -> Iterator[_Part]:
    """Yield the parts of a group that belong to these clouds."""
    start = 0
    for cloud, targets in groupby(group.targets, lambda target: target.cloud):
        end = start + sum(1 for _ in targets)
        if cloud in clouds:
            yield _Part(group, start, end)
        start = end


@cache
def _compressed_metadata(family: ImageFamily, openmetrics: bool) -> bytes:
    return gzip_stream.compress_chunk(render_metadata(family, openmetrics))
